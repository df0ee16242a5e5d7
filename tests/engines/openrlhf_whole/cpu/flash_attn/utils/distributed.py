"""What attention over several GPUs would call."""

all_gather = None
