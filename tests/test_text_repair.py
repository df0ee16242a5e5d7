from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medical_team.text_repair import Misreading, decode_mojibake, repair_mojibake
from misreadings import as_cp1252, as_latin_1, as_mac_roman

WORDS = {
    "English": "naïve café 37\u00a0°C 5\u00a0µg/m² ≥ ≤ ± 10–20 “ill” patient’s TNF-α β-lactam 3×4 ½ … → Na⁺ √2 Å².",
    "French": "à été fièvre élevée « œdème » l’été RÉSUMÉ\u00a0: SANTÉ\u00a0; cœur 37,5\u00a0°C où garçon dès\u00a0!",
    "German": "Übelkeit Müller größer „Fieber“ Ärztin täglich süß »öffnen« KÖLN 5\u00a0‰ für",
    "Spanish": "niño ¿qué? ¡sí! cirugía más años «dolor» corazón 2.ª 3º están",
    "Portuguese": "coração não MANHÃ MANHÃ\u00a0: IRMÃ… avó É\u00a0 está pulmões «dor» às",
    "Polish": "ciąża żółć łokieć źle „ból” się ŻÓŁĆ ściśle ćwiczenie dzień",
    "Czech": "zvýšení ZVÝŠENÍ úžeh Úžeh léčba příznaky SNÍŽENÍ „bolest“ ÚŽEH nůž ŠPATNÉ těžký",
    "Turkish": "ağrı İLAÇ şeker çocuk göğüs hâlâ sıcaklık ÖKSÜRÜK hastalığı güçsüz",
    "Swedish": "på PÅ… ångest ödem blåsa ÖVERTRYCK KESÄ” år åtgärd hjärta 2\u00a0Å",
    "Hungarian": "szív „láz” fülő gyűszű ŐRÜLT műtét erős vérnyomás",
    "Romanian": "înainte după „durere” țesut ÎN și ăsta hârtie sânge spre",
    "Vietnamese": "bệnh nhân được điều trị đau ĐÃ ngực “sốt” Ổ mổ rồi",
    "Greek": "πυρετός και πόνος «καρδιά» ΑΣΘΕΝΗΣ ύψος 5 μg της",
    "Russian": "боль и жар «сердце» ЛЁГКИЕ — у больного нет пульса 37 °С",
    "Arabic": "مريضة عمرها ٤٤ سنة، تشكو من تعب عام؟ «ألم» ضغط الدم",
    "Hebrew": "כאב חזה ולחץ דם – חולה בן 40 עם „חום“",
    "Hindi": "रोगी को बुखार और दर्द है। सिरदर्द",
    "Thai": "ผู้ป่วย มีไข้ และ ปวดศีรษะ เจ็บ หน้าอก",
    "Chinese": "患者，女，18岁。 发热3天； “头痛”（轻度） 体温38℃ B超：正常 3个月",
    "Japanese": "患者は発熱と頭痛を訴えた。 「痛み」 ＣＴ検査 3日間 高血圧",
    "Korean": "환자는 열과 두통이 있다. 2월 심전도",
}


@st.composite
def notes(draw: st.DrawFn) -> str:
    """Some words of one language, in small letters or in capitals."""
    words = WORDS[draw(st.sampled_from(list(WORDS)))].split(" ")
    # Several words: a letter alone says nothing of what it was taken for.
    text = " ".join(draw(st.lists(st.sampled_from(words), min_size=5, max_size=12, unique=True)))
    return text.upper() if draw(st.booleans()) else text


@given(notes())
def test_right_text_stays_as_it_is(text: str) -> None:
    assert repair_mojibake(text) == text


@pytest.mark.parametrize("misread", [as_cp1252, as_latin_1, as_mac_roman])
@pytest.mark.parametrize("again", [str, as_cp1252, as_mac_roman])
@given(words=st.data())
def test_text_that_was_misread_once_or_twice_comes_back(
    misread: Callable[..., str], again: Callable[..., Any], words: st.DataObject
) -> None:
    text = words.draw(notes())

    assert repair_mojibake(again(misread(text))) == text


@given(st.text(max_size=30))
def test_what_was_repaired_needs_no_repair(text: str) -> None:
    repaired = repair_mojibake(text)

    assert repair_mojibake(repaired) == repaired


@pytest.mark.parametrize(
    "right",
    [
        "RÉSUMÉ\u00a0: femme",
        "CAFÉ°",
        "SANTÉ»",
        "CAFÉ™ É® É° À\u00a0«",
        "elle est fatiguée, dit-elle, «\u00a0fatigué\u00a0»",
        "DE MANHÃ\u00a0: dor",
        "2 Å±0.1 and 3 Å²",
        "TNF-ß–mediated, 3×–4×",
        "√π, √Änderung, ≈π",
        "»Öffnung« und »Übung«",
        "l’été – à Évry",
    ],
)
def test_an_accented_capital_and_a_symbol_are_no_proof(right: str) -> None:
    assert repair_mojibake(right) == right
    # Nor are they where other characters of the text were misread.
    assert repair_mojibake(f"10â€“20 é {right}") == f"10–20 é {right}"


@pytest.mark.parametrize(
    ("broken", "right"),
    [
        ("10â€“20 days", "10–20 days"),
        ("â€œI feel illâ€\x9d", "“I feel ill”"),
        ("5 Î¼g, â‰¥ 3, 4 Ëš", "5 μg, ≥ 3, 4 ˚"),
        ("TNFÎ±, IL-1Î², 2â…”", "TNFα, IL-1β, 2⅔"),
        ("ÃŸ-blocker of AndrÃ©", "ß-blocker of André"),
        ("it‚Äôs 36.7¬∞C (98.0¬∞F), ‚â• 6 √ó 5 cm", "it’s 36.7°C (98.0°F), ≥ 6 × 5 cm"),
        ("Ã¢Â€Âœno painÃ¢Â€Â\x9d", "“no pain”"),
        ("patient\x92s", "patient’s"),
        # Right characters stay, also beside broken ones.
        ("5 µg/m² at 37 °C, 10³ cells for 10â€“20 days", "5 µg/m² at 37 °C, 10³ cells for 10–20 days"),
        # Other letters are decoded where everything else was misread.
        ("NÃ© Ã\u00a0 Å\x81Ã³dÅº", "Né à Łódź"),
        ("boÅ› à", "boÅ› à"),
    ],
)
def test_what_can_not_be_right_is_decoded(broken: str, right: str) -> None:
    assert repair_mojibake(broken) == right


def test_what_the_text_was_taken_for_is_told() -> None:
    assert decode_mojibake("37 °C") == ("37 °C", frozenset())
    assert decode_mojibake("37 Â°C")[1] == {Misreading.CP1252}
    assert decode_mojibake("37 ¬∞C")[1] == {Misreading.MAC_ROMAN}
    assert decode_mojibake(as_cp1252(as_mac_roman("37 °C")))[1] == {Misreading.CP1252, Misreading.MAC_ROMAN}
