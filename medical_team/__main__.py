"""``python -m medical_team``: the same as the command ``medical-team``."""

from .cli.main import entry_point

entry_point()
