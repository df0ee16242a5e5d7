from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medical_team.game.rollout import FIXED, REFERENCE, Reply, RolloutRequest, RoutedRollout, Speaker
from medical_team.records import LIVING, Role
from stand_ins import always

nothing = always(None)


@dataclass
class Named:
    """Answers with its name and what it was asked."""

    name: str
    events: list[str] = field(default_factory=list[str])
    versions: list[str] = field(default_factory=list[str])

    def generate(
        self, requests: Sequence[RolloutRequest], on_progress: Callable[[int, int], None] = nothing
    ) -> list[Reply]:
        on_progress(len(requests), len(requests))
        self.versions = [request.speaker.version for request in requests]
        return [Reply(f"{self.name}: {request.prompt}", (1,), (2,), (-0.1,), True) for request in requests]

    def follow(self) -> None:
        self.events.append("follow")

    def set_past_versions(self, folders: Mapping[str, Path]) -> None:
        self.events.append(f"past {list(folders)}")

    def take_metrics(self) -> dict[str, float]:
        return {"speed/reads_per_token": 1.0}

    def rest(self) -> None:
        self.events.append("rest")

    def close(self) -> None:
        self.events.append("close")


def asked(*versions: str) -> list[RolloutRequest]:
    return [
        RolloutRequest(Speaker(Role.ATTACKER, version), f"note {number}", "", 4, seed=number)
        for number, version in enumerate(versions)
    ]


def test_each_version_is_asked_of_its_own_source_and_replies_keep_their_order() -> None:
    main, fixed = Named("main"), Named("fixed")
    rollout = RoutedRollout(main, {FIXED: fixed})
    told: list[tuple[int, int]] = []

    replies = rollout.generate(asked(FIXED, LIVING, REFERENCE, FIXED), lambda done, total: told.append((done, total)))

    texts = [reply.text for reply in replies if isinstance(reply, Reply)]
    assert texts == ["fixed: note 0", "main: note 1", "main: note 2", "fixed: note 3"]
    assert (main.versions, fixed.versions) == ([LIVING, REFERENCE], [LIVING, LIVING])
    assert told == [(2, 4), (4, 4)]
    assert rollout.generate([]) == []


def test_learning_past_selves_and_metrics_are_the_main_source_s() -> None:
    main, fixed = Named("main"), Named("fixed")
    rollout = RoutedRollout(main, {FIXED: fixed})

    rollout.follow()
    rollout.set_past_versions({"step-000010": Path("there")})

    assert main.events == ["follow", "past ['step-000010']"]
    assert fixed.events == []
    assert rollout.take_metrics() == {"speed/reads_per_token": 1.0}
