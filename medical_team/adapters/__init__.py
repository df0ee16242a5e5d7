"""MEDEC and the game inside other people's programs: one module for each, all over the same prompts and metrics."""
