"""The matrix of a cross-play as a picture: SVG, written here, readable without colours."""

from __future__ import annotations

from html import escape

from .crossplay import Crossplay
from .tables import figure

_CELL = 64
_MARGIN = 12
_LETTER = 7.5
"""About the width of a letter of the labels."""
_LONGEST_LABEL = 32

# Orange for the attacker, blue for the assessor: apart for every kind of colour vision (Okabe and Ito 2008).
_ATTACKER, _EVEN, _ASSESSOR = (230, 159, 0), (255, 255, 255), (0, 114, 178)
_DARK, _LIGHT = "#1a1a1a", "#ffffff"


def heatmap(crossplay: Crossplay) -> str:
    """An SVG document: attackers in rows, assessors in columns, in each cell how often the assessor wins."""
    labels = [_shortened(name) for name in crossplay.rows]
    left = _MARGIN + int(max(map(len, labels)) * _LETTER) + _MARGIN
    top = left + 24
    width, height = left + len(crossplay.entrants) * _CELL + _MARGIN, top + len(labels) * _CELL + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="system-ui, sans-serif" font-size="13" role="img" aria-labelledby="title">',
        '<title id="title">How often each assessor (columns) wins against each attacker (rows)</title>',
        f'<rect width="{width}" height="{height}" fill="{_LIGHT}"/>',
        f'<text x="{_MARGIN}" y="20" fill="{_DARK}">Assessor wins: rows attack, columns assess</text>',
    ]
    for index, label in enumerate(labels):
        middle = index * _CELL + _CELL // 2
        parts.append(
            f'<text x="{left - 8}" y="{top + middle + 5}" text-anchor="end" fill="{_DARK}">{escape(label)}</text>'
        )
        if index >= len(crossplay.entrants):
            continue
        x, y = left + middle + 5, top - 8
        parts.append(f'<text transform="translate({x} {y}) rotate(-90)" fill="{_DARK}">{escape(label)}</text>')
    for row, attacker in enumerate(crossplay.rows):
        for column, assessor in enumerate(crossplay.entrants):
            rate = crossplay.cell(attacker, assessor).assessor_win_rate
            parts += _cell(left + column * _CELL, top + row * _CELL, rate)
    return "\n".join([*parts, "</svg>", ""])


def _cell(x: int, y: int, rate: float | None) -> list[str]:
    red, green, blue = _colour(rate)
    # Perceived brightness (ITU-R BT.601) decides the colour of the number.
    ink = _DARK if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else _LIGHT
    middle = _CELL // 2
    return [
        f'<rect x="{x}" y="{y}" width="{_CELL - 2}" height="{_CELL - 2}" fill="rgb({red},{green},{blue})"/>',
        f'<text x="{x + middle}" y="{y + middle + 4}" text-anchor="middle" fill="{ink}">{figure(rate, 2)}</text>',
    ]


def _colour(rate: float | None) -> tuple[int, int, int]:
    if rate is None:
        return (238, 238, 238)
    end, share = (_ASSESSOR, 2 * rate - 1) if rate >= 0.5 else (_ATTACKER, 1 - 2 * rate)
    red, green, blue = (round(even + share * (full - even)) for even, full in zip(_EVEN, end, strict=True))
    return red, green, blue


def _shortened(label: str) -> str:
    return label if len(label) <= _LONGEST_LABEL else f"...{label[3 - _LONGEST_LABEL :]}"
