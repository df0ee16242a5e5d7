"""The section of a configuration that says whom the policy plays besides itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .config_bounds import bounded
from .records import Closed

OpponentSides = Literal["both", "attacker", "assessor"]
OpponentDrawing = Literal["uniform", "pfsp"]


@dataclass(frozen=True)
class OpponentConfig(Closed):
    """Past selves and other frozen opponents, who play one side of some games. Only the side that lives learns."""

    add_every: int = bounded(0, minimum=0)
    """Steps after which the policy of that moment joins the pool, which begins with the policy as the run started.
    0: no pool."""
    size: int = bounded(8, minimum=2, maximum=64)
    """Past selves in the pool. Beyond it they are thinned, the older ones the more; the first one stays."""
    share: float = bounded(0.5, minimum=0.0, maximum=1.0)
    """The share of the adversarial games in which an opponent plays one side, if there is any opponent."""
    sides: OpponentSides = "both"
    """Which side opponents play: either one, by a coin, or always the attacker or the assessor."""
    draw: OpponentDrawing = "uniform"
    """Which opponent plays: each one as often, or (pfsp) more often whoever has beaten the policy more of late."""
    fixed: str | None = None
    """A model, or a folder, that belongs to the opponents all along and never learns: a static attacker, for example.
    With game.no_defender_turn it is the assessor of all games."""
    url: str | None = None
    """An OpenAI-compatible server that has the model `fixed`, under this name: the base of its API
    (http://127.0.0.1:8001/v1). For OpenRLHF, whose rollout engines hold no model but the one that learns."""
    token_variable: str = "MEDICAL_TEAM_OPPONENT_TOKEN"
    """The environment variable with that server's bearer token, where it wants one. The token itself is never saved."""

    @property
    def are_there(self) -> bool:
        """Whether anybody but the policy itself plays."""
        return self.add_every > 0 or self.fixed is not None
