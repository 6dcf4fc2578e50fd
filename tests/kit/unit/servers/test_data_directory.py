"""How pristine data is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgsandbox.servers.binaries import Binaries
from pgsandbox.servers.data_directory import DataDirectory, environment


def _directory(major: int) -> DataDirectory:
    return DataDirectory(Binaries(Path("/usr/bin"), "a test", f"postgres (PostgreSQL) {major}.1"))


@pytest.mark.parametrize(
    ("major", "locales"),
    [
        (14, [["--locale=C.UTF-8"], ["--locale=C"]]),
        (
            17,
            [
                ["--locale=C.UTF-8"],
                ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"],
                ["--locale=C"],
            ],
        ),
    ],
)
def test_a_system_without_the_locale_gets_the_next_best(
    major: int, locales: list[list[str]]
) -> None:
    """PostgreSQL 17 has it built in; before, only C is left."""
    tried = [
        [word for word in options if "locale" in word] for options in _directory(major).options()
    ]

    assert tried == locales


@pytest.mark.parametrize(
    ("option", "since"), [("--no-data-checksums", 18), ("--set=dynamic_shared_memory_type", 16)]
)
def test_an_option_is_given_to_the_versions_that_know_it(option: str, since: int) -> None:
    """initdb ends at an option that it does not know."""
    knowing, ignorant = (next(iter(_directory(major).options())) for major in (since, since - 1))

    assert any(word.startswith(option) for word in knowing)
    assert not any(word.startswith(option) for word in ignorant)


def test_a_setting_is_given_to_the_versions_that_know_it() -> None:
    """The server ends at a setting that it does not know."""
    assert "io_method" in _directory(18).settings
    assert "io_method" not in _directory(17).settings


def test_programs_see_nothing_of_the_user_s_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """PGDATA or PGPORT of a developer's shell would lead them elsewhere."""
    monkeypatch.setenv("PGPORT", "9999")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")

    assert "PGPORT" not in environment()
    assert environment()["LC_ALL"] == "C"
    assert "LANG" not in environment()
