"""An application that is served over HTTP for one test: from threads, or from a child process."""

from __future__ import annotations

import contextlib
import inspect
import os
import selectors
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, Protocol

import pytest

from pgsandbox.errors import ConfigurationError, Fact

HOST = "127.0.0.1"
TIMEOUT = 5.0
"""Seconds that requests and processes have to come to their end, when the test is over."""

_STEP = 0.02


class LiveServer:
    """What answers over HTTP while one test runs, at addresses that only this machine reaches."""

    def __init__(self, app: Any) -> None:
        self.app = app
        """The application that `url` serves."""
        self._server: _Server | None = None
        self._processes: list[_Process] = []

    @property
    def url(self) -> str:
        """Where the application is served, as ``http://127.0.0.1:40213``.

        It is served from the first time that somebody asks.

        Raises:
            ConfigurationError: there is no application, or what would serve it is not installed.
        """
        if self._server is None:
            self._server = _serve(self.app)
        return f"http://{HOST}:{self._server.port}"

    def start(
        self,
        command: Sequence[str],
        *,
        environ: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        timeout: float = 30.0,
    ) -> str:
        """Start *command*, a server of any language, and return the URL where it listens.

        ``{port}`` in its arguments is the port that it has to take, and so is the variable
        ``PORT``. It gets the test's URL as every child does, by the variables of ``child-env``, and
        *environ* besides. It is ended with the test. The test fails where nobody listens within
        *timeout* seconds.
        """
        process = _Process(command, environ or {}, cwd)
        self._processes.append(process)
        process.wait(timeout)
        return f"http://{HOST}:{process.port}"

    def stop(self) -> None:
        """Serve nothing any longer; what is still answered has five seconds."""
        processes, self._processes = self._processes, []
        server, self._server = self._server, None
        try:
            if server is not None:
                server.stop()
        finally:
            for each in processes:
                each.stop()


class _Server(Protocol):
    """What serves an application from threads of this process."""

    port: int

    def stop(self) -> None:
        """Return when nothing of it runs any more; fail the test after `TIMEOUT` seconds."""


def _serve(app: Any) -> _Server:
    if not callable(app):
        raise ConfigurationError(
            "The test asks for its application over HTTP, and there is none.",
            facts=[Fact("application", "None" if app is None else type(app).__name__)],
            remedy="Give the project a fixture app that returns it, or name it in the setting app.",
        )
    try:
        return _ASGIServer(app) if _is_asgi(app) else _WSGIServer(app)
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package not in ("uvicorn", "werkzeug"):
            raise
        raise ConfigurationError(
            f"{package} is not installed, which serves the application.",
            facts=[Fact("application", type(app).__name__)],
            remedy=f"pip install {package}",
        ) from error


def _is_asgi(app: Any) -> bool:
    """Whether calling *app* gives a coroutine, as ASGI 3 wants it."""
    return inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(type(app).__call__)


class _WSGIServer:
    """Werkzeug's server, with a thread for each connection."""

    def __init__(self, app: Any) -> None:
        from werkzeug.serving import ThreadedWSGIServer

        def named(environ: dict[str, Any], start_response: Any) -> Any:
            asked = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
            threading.current_thread().name = asked
            return app(environ, start_response)

        opened: dict[threading.Thread, socket.socket] = {}

        class Server(ThreadedWSGIServer):
            def process_request(self, request: Any, client_address: Any) -> None:
                thread = threading.Thread(
                    target=self.process_request_thread, args=(request, client_address), daemon=True
                )
                opened[thread] = request
                thread.start()

        self._opened = opened
        """Who answers on which connection; a browser keeps some open."""
        self._server = Server(HOST, 0, named)
        self.port = self._server.port
        self._stopping, self._stopped = socket.socketpair()
        self._thread = threading.Thread(target=self._accept, name="live_server", daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        # Not `serve_forever`, which looks twice a second whether it is to end.
        with selectors.DefaultSelector() as selector:
            selector.register(self._server, selectors.EVENT_READ)
            selector.register(self._stopped, selectors.EVENT_READ)
            while all(key.fileobj is not self._stopped for key, _ in selector.select()):
                self._server.handle_request()

    def stop(self) -> None:
        """Let each request that has begun come to its end, and no other begin."""
        until = time.monotonic() + TIMEOUT
        self._stopping.close()
        self._thread.join()
        self._stopped.close()
        self._server.server_close()
        for connection in self._opened.values():
            with contextlib.suppress(OSError):  # its thread has closed it
                connection.shutdown(socket.SHUT_RD)
        for thread in self._opened:
            thread.join(max(0.0, until - time.monotonic()))
        _fail_for([thread.name for thread in self._opened if thread.is_alive()])


class _ASGIServer:
    """uvicorn, on an event loop of its own in a thread."""

    def __init__(self, app: Any) -> None:
        import uvicorn

        began = threading.Event()

        class Server(uvicorn.Server):
            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                began.set()

        config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=int(TIMEOUT))
        self._server = Server(config)
        self._socket = socket.create_server((HOST, 0))
        self.port: int = self._socket.getsockname()[1]

        def run() -> None:
            with contextlib.suppress(SystemExit):  # the application did not start
                self._server.run(sockets=[self._socket])
            began.set()

        self._thread = threading.Thread(target=run, name="live_server", daemon=True)
        self._thread.start()
        began.wait()
        if not self._server.started:
            self._thread.join(TIMEOUT)
            self._socket.close()
            pytest.fail(
                "live_server: the application did not start; its log says why.", pytrace=False
            )

    def stop(self) -> None:
        """Let each request that has begun come to its end, and then the application's lifespan."""
        self._server.should_exit = True
        self._thread.join(TIMEOUT + 1)
        self._socket.close()
        _fail_for(["its event loop"] if self._thread.is_alive() else [])


class _Process:
    """A server that is a process of its own."""

    def __init__(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        cwd: str | os.PathLike[str] | None,
    ) -> None:
        with socket.create_server((HOST, 0)) as free:
            self.port: int = free.getsockname()[1]
        self._command = [each.replace("{port}", str(self.port)) for each in command]
        self._process = subprocess.Popen(
            self._command,
            cwd=cwd,
            env={**os.environ, "PORT": str(self.port), **environ},
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # it is ended with all that it starts
        )

    def wait(self, timeout: float) -> None:
        """Return when somebody listens."""
        until = time.monotonic() + timeout
        while not self._listens():
            status = self._process.poll()
            if status is not None:
                self._fail(f"ended with status {status}, and has listened on no port.")
            if time.monotonic() > until:
                self._fail(f"does not listen on port {self.port} after {timeout:g} s.")
            time.sleep(_STEP)

    def _fail(self, why: str) -> NoReturn:
        pytest.fail(f"live_server: {self._command[0]} {why}", pytrace=False)

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), _STEP * 10):
            return True
        return False

    def stop(self) -> None:
        """End it and what it has started; by force if it does not obey."""
        self._tell(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(TIMEOUT)
        self._tell(signal.SIGKILL)
        self._process.wait()

    def _tell(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def _fail_for(running: Sequence[str]) -> None:
    if running:
        what = ", ".join(running)
        pytest.fail(f"live_server: {TIMEOUT:g} s after the test, {what} still runs.", pytrace=False)
