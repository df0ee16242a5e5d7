"""Running a judge's service: the port first, then the loading, then work until SIGTERM, then the work that is left."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import threading
from collections.abc import Callable, Generator
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from ...callbacks import Notify, stop_signals
from ...errors import JudgeError, MedicalTeamError
from ..protocol import Judge
from .app import ServedJudge, ServiceStatus, make_app
from .batching import BatchingWorker, ServiceSettings
from .gate import ServiceMetrics

_BACKLOG = 1024
_KEEP_ALIVE_SECONDS = 75


class JudgeService:
    """One judge behind one port.

    Args:
        load: makes the judge; called in a thread of its own once the port is ours.
        served: what is told of it before it is loaded.
        listener: a bound socket, of :func:`bound_socket`.
        settings: sizes and limits.
        token: what clients must send as their bearer token; None: nothing.
        notify: told, in a sentence, that the service is ready, drains, and has ended.
    """

    def __init__(
        self,
        load: Callable[[], Judge],
        served: ServedJudge,
        listener: socket.socket,
        settings: ServiceSettings,
        *,
        token: str | None = None,
        notify: Notify = lambda _: None,
    ) -> None:
        self._load = load
        self._notify = notify
        self._listener = listener
        self._served = served
        self._failure: Exception | None = None
        self._status = ServiceStatus()
        metrics = ServiceMetrics()
        self._worker = BatchingWorker(self._loaded, settings, metrics, self._loading_failed)
        app = make_app(self._worker, settings, metrics, served, token=token, status=self._status)
        config = uvicorn.Config(
            app,
            http=_with_limit(settings.body_seconds),
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=round(settings.drain_seconds),
            backlog=_BACKLOG,
        )
        self._server = _Server(config, self._begin_draining)

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
        # Listening before the judge is loaded, so that /health can say so.
        self._worker.start()
        try:
            self._server.run([self._listener])
        finally:
            self._worker.close()
        if isinstance(self._failure, MedicalTeamError):
            raise self._failure
        if self._failure is not None:
            reason = f"{type(self._failure).__name__}: {self._failure}"
            raise JudgeError(f"the judge {self._served.model} can't be loaded: {reason}") from self._failure
        self._notify("Every accepted game was answered; the judge has ended.")

    def stop(self) -> None:
        """End from another thread, as SIGTERM does."""
        self._server.should_exit = True

    def _loaded(self) -> Judge:
        judge = self._load()
        self._notify(f"The judge {self._served.model} is ready at {self.url}")
        return judge

    def _loading_failed(self, error: Exception) -> None:
        self._failure = error
        self.stop()

    def _begin_draining(self) -> None:
        self._status.is_draining = True
        # In a thread of its own: the signal may have come in the middle of a write to the same stream.
        message = "Answering what was accepted, then ending. Once more to end at once."
        threading.Thread(target=self._notify, args=(message,), daemon=True).start()


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket bound to ``host`` and ``port``; 0 takes any free port.

    Raises:
        JudgeError: the port is taken, needs more rights, or the host is none of this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise JudgeError(f"{host!r} is no address of this machine: {_reason(error)}. Use --host 127.0.0.1") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        # A second server on the port is refused here and now, not when it begins to serve.
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise JudgeError(_binding_problem(host, port, error)) from error
    return listener


def _binding_problem(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is taken: another program serves there. Choose another with --port, or end that program"
    if error.errno == errno.EACCES:
        return f"port {port} needs more rights than this user has: choose one above 1023 with --port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine. Use --host 127.0.0.1, or 0.0.0.0 for all of its addresses"
    return f"can't listen at {host}, port {port}: {_reason(error)}"


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _with_limit(seconds: float) -> type[asyncio.Protocol]:
    """Uvicorn's way to speak HTTP, which hangs up where no whole header has come after so many ``seconds``.

    Uvicorn waits for ever for the rest of one, or for the first byte, and whoever opens enough such connections takes
    all that the process may have.
    """

    class Impatient(AutoHTTPProtocol):
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._follow()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._follow()

        def connection_lost(self, exc: Exception | None) -> None:
            self._forget()
            super().connection_lost(exc)

        def _follow(self) -> None:
            cycle: Any = getattr(self, "cycle", None)
            if cycle is not None and not cycle.response_complete:
                # A request is being answered, and the gate bounds the time for its body.
                self._forget()
            elif self._timer is None:
                transport: asyncio.Transport = getattr(self, "transport")  # noqa: B009 - pyright knows no attributes
                self._timer = asyncio.get_running_loop().call_later(seconds, transport.close)

        def _forget(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    return Impatient


class _Server(uvicorn.Server):
    """Uvicorn with an end that is no failure: the first signal drains, a second one ends at once."""

    def __init__(self, config: uvicorn.Config, on_draining: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_draining = on_draining

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Handle SIGTERM and SIGINT while serving. Outside the main thread, where that can't be done, do nothing."""
        with stop_signals(self.handle_exit):
            yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal drains, the second ends at once."""
        if self.should_exit:
            self.force_exit = True
            return
        self.should_exit = True
        self._on_draining()
