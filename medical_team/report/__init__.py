"""What a person sees of a run, while it trains and afterwards.

On the way from games to a page:

- ``metrics`` are the numbers of one step, written while it trains, from which the six success criteria are decided;
  alarms find trouble in them; ``metrics.run_reader`` follows a run folder, and ``runs.lock`` says how the run stands.
- ``overview`` gathers all that the page shows of a run besides games.
- ``page_file`` holds the games, compressed, and writes the page; ``live_server`` serves it while the run goes on;
  ``page/`` is its HTML, CSS and scripts.

Apart from the page: ``display`` shows a training run on a terminal, ``game_text`` one game, ``game_export`` serves
``medical-team games``; ``listeners`` are told of each step, the display among them, and hold what speaks to
TensorBoard, Weights & Biases and Trackio.
"""
