"""The benchmark runs: a contender that fails would be measured as a fast one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.measuring import Contender, run
from bench.rows import (
    ASYNC_KIT,
    ASYNC_RECIPE,
    CLONE,
    CREATE_DROP,
    KIT,
    NO_DATABASE,
    PLAIN,
    RECIPE,
    TRUNCATE,
    WITHOUT_FINDINGS,
)
from pgsandbox import servers
from tests.kit.nightly import by_night


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of a server that stays up between the runs."""
    server = servers.embedded(reason="a benchmark is tried")
    yield server.url.render_as_string(hide_password=False)
    server.release()


@pytest.mark.parametrize(
    "contender",
    [
        KIT,
        *by_night(
            RECIPE,
            ASYNC_KIT,
            ASYNC_RECIPE,
            CLONE,
            TRUNCATE,
            CREATE_DROP,
            NO_DATABASE,
            PLAIN,
            WITHOUT_FINDINGS,
        ),
    ],
    ids=lambda contender: f"{contender.folder}-{contender.file}",
)
def test_every_contender_passes_its_tests(server: str, contender: Contender) -> None:
    """Three tests each, every one of which sees nothing of the others."""
    figures = run(contender, 3, server=server)

    assert figures.tests == 3
    assert 0 < figures.to_first < figures.to_first + figures.took < figures.whole
