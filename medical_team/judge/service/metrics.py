"""What the service counts, for Prometheus. No label of a metric ever holds a client's text."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)
_SECONDS_BUCKETS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)


class ServiceMetrics:
    """Counters of one service, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter("judge_requests", "Requests answered.", ("path", "status"), registry=self._registry)
        self._request_seconds = Histogram(
            "judge_request_seconds",
            "Seconds from the first byte of a request to its answer.",
            ("path",),
            buckets=_SECONDS_BUCKETS,
            registry=self._registry,
        )
        self._games = Counter("judge_games", "Games ruled on.", ("outcome",), registry=self._registry)
        self._batch_games = Histogram(
            "judge_batch_games", "Games in a batch.", buckets=_BATCH_BUCKETS, registry=self._registry
        )
        self._batch_seconds = Histogram(
            "judge_batch_seconds", "Seconds of a batch.", buckets=_SECONDS_BUCKETS, registry=self._registry
        )
        self._waiting = Gauge("judge_waiting_games", "Games that wait for the judge.", registry=self._registry)
        self._ready = Gauge("judge_ready", "Whether the service takes games.", registry=self._registry)

    def watch(self, waiting: Callable[[], int], is_ready: Callable[[], bool]) -> None:
        """Ask these whenever the metrics are read."""
        self._waiting.set_function(waiting)
        self._ready.set_function(lambda: float(is_ready()))

    def request_answered(self, path: str, status: int, seconds: float) -> None:
        """A request to ``path``, one of the service's own, was answered."""
        self._requests.labels(path, status).inc()
        self._request_seconds.labels(path).observe(seconds)

    def batch_ruled(self, games: int, seconds: float, outcomes: Mapping[str, int]) -> None:
        """The judge ruled on a batch."""
        self._batch_games.observe(games)
        self._batch_seconds.observe(seconds)
        for outcome, count in outcomes.items():
            self._games.labels(outcome).inc(count)

    def exposition(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return generate_latest(self._registry)
