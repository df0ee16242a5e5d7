"""Running a judge's service: the port first, then the loading, then work until SIGTERM, then the work that is left."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Generator
from types import FrameType

import uvicorn

from ...callbacks import Notify, stop_signals
from ...errors import JudgeError, MedicalTeamError
from ..gathering import GatheringJudge, JudgeThreads
from ..protocol import Judge
from .app import Served, make_app
from .gate import ServiceMetrics

_BACKLOG = 1024
_KEEP_ALIVE_SECONDS = 75


class JudgeService:
    """One judge behind one port.

    Args:
        load: makes the judge; called in a thread of its own once the port is ours.
        served: what is told of it before it is loaded, and what it allows.
        listener: a bound socket, of :func:`bound_socket`.
        token: what clients must send as their bearer token; None: nothing.
        notify: told, in a sentence, that the service is ready, drains, and has ended.
    """

    def __init__(
        self,
        load: Callable[[], Judge],
        served: Served,
        listener: socket.socket,
        *,
        token: str | None = None,
        notify: Notify = lambda _: None,
    ) -> None:
        self._load = load
        self._notify = notify
        self._listener = listener
        self._failure: Exception | None = None
        self._metrics = ServiceMetrics()
        self._served = served
        config = uvicorn.Config(
            make_app(served, self._metrics, token),
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=round(served.settings.drain_seconds),
            backlog=_BACKLOG,
        )
        self._server = _Server(config, notify)

    @property
    def url(self) -> str:
        """Where it is asked."""
        host, port = self._listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{port}"

    def run(self) -> None:
        """Serve until SIGTERM, SIGINT or :meth:`stop`; return when all accepted work is answered.

        Raises:
            MedicalTeamError: the judge can't be loaded.
        """
        asyncio.run(self._run())
        if isinstance(self._failure, MedicalTeamError):
            raise self._failure
        if self._failure is not None:
            reason = f"{type(self._failure).__name__}: {self._failure}"
            raise JudgeError(f"the judge {self._served.model} can't be loaded: {reason}") from self._failure
        self._notify("The judge has ended.")

    def stop(self) -> None:
        """End from another thread, as SIGTERM does."""
        self._server.should_exit = True

    async def _run(self) -> None:
        # Listening before the judge is loaded, so that /health can say so.
        loading = asyncio.create_task(self._load_judge())
        await self._server.serve([self._listener])
        loading.cancel()

    async def _load_judge(self) -> None:
        threads = JudgeThreads()
        try:
            judge = await threads.run(self._load)
        except Exception as error:  # noqa: BLE001 - a judge may be any code; who started the service is told
            self._failure = error
            self.stop()
            return
        batch_size = self._served.settings.batch_size
        self._served.judge = GatheringJudge(
            judge, batch_size=batch_size, on_batch=self._metrics.batch_ruled, threads=threads
        )
        self._notify(f"The judge {self._served.model} is ready at {self.url}")


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket that listens at ``host`` and ``port``; 0 takes any free port.

    Raises:
        JudgeError: the port is taken, needs more rights, or the host is none of this machine's.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # A second server on the port is refused here and now, not when it begins to serve.
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise JudgeError(
            f"can't listen at {host}, port {port}: {reason}. Choose another with --port, or --host 127.0.0.1"
        ) from error


class _Server(uvicorn.Server):
    """Uvicorn with an end that is no failure: the first signal drains, a second one ends at once."""

    def __init__(self, config: uvicorn.Config, notify: Notify) -> None:
        super().__init__(config)
        self._notify = notify

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Handle SIGTERM and SIGINT while serving. Outside the main thread, where that can't be done, do nothing."""
        with stop_signals(self.handle_exit):
            yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal drains, the second ends at once."""
        if not self.should_exit:
            self._notify("Answering what was accepted, then ending. Once more to end at once.")
        self.force_exit = self.should_exit
        self.should_exit = True
