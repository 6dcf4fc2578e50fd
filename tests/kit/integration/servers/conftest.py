"""What the tests of servers share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgsandbox.servers import binaries
from tests.kit.external import External, external_server
from tests.kit.external import free_port as a_free_port
from tests.kit.integration.servers.processes import Users
from tests.kit.nightly import by_night


@pytest.fixture(scope="session")
def external() -> Iterator[External]:
    """A server on a TCP port that asks for passwords; tests leave it as they find it."""
    with external_server() as server:
        yield server


@pytest.fixture
def free_port() -> int:
    """A port on which nothing listens."""
    return a_free_port()


@pytest.fixture
def cache() -> Iterator[Path]:
    """A cache folder of this test's own, so that nobody else shares its servers.

    Unlike tmp_path it can be reached by the user that root steps down to, as the usual one can.
    """
    with tempfile.TemporaryDirectory(prefix="cache-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="session")
def warm_cache() -> Iterator[Path]:
    """A cache folder that tests use one after the other."""
    with tempfile.TemporaryDirectory(prefix="cache-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def users(warm_cache: Path) -> Iterator[Users]:
    """Processes that use an embedded server of this test alone."""
    users = Users(warm_cache)
    yield users
    users.end()


@pytest.fixture
def fresh_users(cache: Path) -> Iterator[Users]:
    """The same on a machine that never had an embedded server."""
    users = Users(cache)
    yield users
    users.end()


def _programs(major: int) -> Path | None:
    places = [*binaries._in_the_wheel(), *binaries._on_this_machine()]
    looked = [binaries._look_at(path, origin, []) for path, origin in places]
    return next((found.bindir for found in looked if found and found.major == major), None)


@pytest.fixture(params=[15, *by_night(16), 18])
def programs(request: pytest.FixtureRequest) -> Path:
    """The programs of each major version that this machine or the wheel has."""
    found = _programs(request.param)
    if found is None:
        pytest.skip(f"no PostgreSQL {request.param} here")
    return found
