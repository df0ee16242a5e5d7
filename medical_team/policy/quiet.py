"""Keeping transformers' progress bars and remarks off the screen while we speak for ourselves."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Generator

from transformers.utils import logging


@contextlib.contextmanager
def quiet_transformers() -> Generator[None]:
    """Show no progress bars and nothing below an error; afterwards all is as it was."""
    verbosity, has_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            # peft asks transformers in ways that will change: nothing that a user could mend.
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logging.set_verbosity(verbosity)
        if has_bars:
            logging.enable_progress_bar()
