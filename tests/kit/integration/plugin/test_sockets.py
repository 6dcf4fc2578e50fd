"""The setting ``refuse-sockets``: what a unit test can't open, and what goes on as ever."""

from __future__ import annotations

import pytest

from tests.kit.integration.plugin.conftest import MakeProject
from tests.kit.integration.plugin.projects import Outcome, Project

_FILES = {
    "server.py": """
        import socket

        def listen(path=None):
            kind = socket.AF_UNIX if path else socket.AF_INET
            server = socket.socket(kind)
            server.bind(str(path) if path else ("127.0.0.1", 0))
            server.listen()
            return server

        waiting = listen()
        socket.create_connection(waiting.getsockname()).close()  # at import time nothing is refused
    """,
    "tests/unit/test_sockets.py": """
        import asyncio, socket, subprocess, sys, threading, urllib.request
        import pytest
        from pgsandbox.errors import SocketRefused
        from server import listen, waiting

        def test_tcp():
            socket.create_connection(waiting.getsockname())

        def test_unix(tmp_path):
            path = tmp_path / "socket"
            with listen(path), pytest.raises(SocketRefused, match=str(path)):
                socket.socket(socket.AF_UNIX).connect(str(path))

        def test_udp():
            with pytest.raises(SocketRefused, match="127.0.0.1:9"):
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"", ("127.0.0.1", 9))

        def test_without_an_exception():
            with pytest.raises(SocketRefused):
                socket.socket().connect_ex(waiting.getsockname())

        def test_http():
            host, port = waiting.getsockname()
            with pytest.raises(SocketRefused):
                urllib.request.urlopen(f"http://{host}:{port}/", timeout=5)

        def test_an_event_loop():
            async def connect():
                await asyncio.open_connection(*waiting.getsockname())
            with pytest.raises(SocketRefused):
                asyncio.run(connect())

        def test_a_thread():
            refused = []
            def connect():
                try:
                    socket.create_connection(waiting.getsockname())
                except SocketRefused as error:
                    refused.append(error)
            thread = threading.Thread(target=connect)
            thread.start()
            thread.join()
            assert "::test_a_thread" in str(refused[0])

        def test_what_reaches_nobody_else():
            one, two = socket.socketpair()
            asyncio.run(asyncio.sleep(0))
            subprocess.run([sys.executable, "-c", ""], check=True)
            listen().close()

        @pytest.mark.pgsandbox_sockets
        def test_marked():
            socket.create_connection(waiting.getsockname()).close()
    """,
    "tests/integration/test_items.py": """
        import socket
        from server import waiting

        def test_with_the_database(db_session):
            socket.create_connection(waiting.getsockname()).close()
    """,
}
_SWITCH = "refuse-sockets = true"


@pytest.fixture(scope="module")
def project(make_project: MakeProject) -> Project:
    """A project that refuses sockets."""
    return make_project(_FILES, f'server = "embedded"\n{_SWITCH}')


@pytest.fixture(scope="module", params=[[], ["-p", "xdist", "-n", "1"]], ids=["alone", "worker"])
def outcome(request: pytest.FixtureRequest, project: Project) -> Outcome:
    """Its run, with and without a worker that talks to its controller."""
    return project.run(*request.param)


def test_only_the_test_that_lets_the_refusal_out_fails(outcome: Outcome) -> None:
    """Tests with the database or the marker connect; the others assert that they are refused."""
    assert outcome.counts == {"failed": 1, "passed": 9}


def test_the_message_names_the_test_and_the_way_out(outcome: Outcome) -> None:
    """With the address, the line and where the setting stands."""
    said = outcome.section("test_tcp")

    assert "SocketRefused" in said
    assert "tests/unit/test_sockets.py::test_tcp" in said
    assert "127.0.0.1:" in said
    assert "refuse-sockets    true" in said
    assert "@pytest.mark.pgsandbox_sockets" in said


def test_nothing_is_refused_by_default(project: Project) -> None:
    """The environment switches it off for one run, as it is where nobody sets it."""
    run = project.run("-k", "test_tcp", PGSANDBOX_REFUSE_SOCKETS="0")

    assert run.counts == {"passed": 1, "deselected": 9}
