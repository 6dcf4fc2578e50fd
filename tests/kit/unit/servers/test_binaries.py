"""Finding PostgreSQL's programs."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

from pgsandbox.errors import BinariesNotFound
from pgsandbox.servers import binaries, embedded
from pgsandbox.servers.account import Account

_US = Account(0, 0, is_other=False)


def _install(folder: Path, banner: str) -> Path:
    """Programs in *folder* of which ``postgres --version`` prints *banner*."""
    folder.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        (folder / name).write_text(f"#!/bin/sh\necho '{banner}'\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without the wheel and without PostgreSQL; its PATH is the folder returned."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(binaries, "_USUAL_PLACES", ())
    monkeypatch.delenv("PGSANDBOX_BINDIR", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return tmp_path / "path"


def test_the_wheel_s_newest_version_comes_first() -> None:
    """The wheel has several, one folder each."""
    found = list(binaries._in_the_wheel())

    assert found[0][0].name == "pginstall18"
    assert found[-1][0].name == "pginstall"


def test_the_machine_is_not_asked_where_there_is_the_wheel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Debian's pg_config is a script that starts ten programs, at the start of each run."""
    (tmp_path / "pg_config").write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\n")
    (tmp_path / "pg_config").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("PGSANDBOX_BINDIR", raising=False)
    found = binaries.find(None)

    assert found.wheel is not None
    assert not (tmp_path / "asked").exists()


def test_programs_on_path_are_found_without_the_wheel(bare: Path) -> None:
    """Debian's link in /usr/local/bin leads to the folder of both programs."""
    real = _install(bare.parent / "lib/16/bin", "postgres (PostgreSQL) 16.4 (Debian 16.4-1)")
    bare.mkdir()
    (bare / "postgres").symlink_to(real / "postgres")
    found = binaries.find(None)

    assert (found.bindir, found.major, found.origin) == (real, 16, "PATH")


def test_pg_config_on_path_leads_to_the_programs(bare: Path) -> None:
    """A PostgreSQL whose programs are not on PATH themselves."""
    real = _install(bare.parent / "elsewhere", "postgres (PostgreSQL) 17.1")
    _install(bare, "unused")
    (bare / "postgres").unlink()
    (bare / "pg_config").write_text(f"#!/bin/sh\necho '{real}'\n")
    (bare / "pg_config").chmod(0o755)

    assert binaries.find(None).bindir == real


def test_the_newest_of_the_usual_places_is_taken(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By number: 9 is older than 16."""
    for major in ("9", "15", "16"):
        _install(bare.parent / f"postgresql/{major}/bin", f"postgres (PostgreSQL) {major}.1")
    monkeypatch.setattr(binaries, "_USUAL_PLACES", (f"{bare.parent}/postgresql/*/bin",))

    assert binaries.find(None).major == 16


@pytest.mark.parametrize(
    ("banner", "words"),
    [
        ("postgres (PostgreSQL) 13.9", "older than 14: postgres (PostgreSQL) 13.9"),
        ("libz.so.1 not found", "libz.so.1 not found"),
    ],
)
def test_programs_that_do_not_do_are_named_with_the_reason(
    bare: Path, banner: str, words: str
) -> None:
    """Too old, or unable to run here."""
    place = _install(bare, banner)

    with pytest.raises(BinariesNotFound) as caught:
        binaries.find(None)

    assert str(place) in str(caught.value)
    assert f"PATH: {words}" in str(caught.value)


def test_programs_that_cannot_be_executed_are_named_with_the_reason(tmp_path: Path) -> None:
    """Made for another machine, say."""
    place = _install(tmp_path / "bin", "unused")
    (place / "postgres").write_bytes(b"\x7fELF of something else")

    with pytest.raises(BinariesNotFound, match="Exec format error"):
        binaries.find(place)


def test_a_bare_machine_is_told_what_to_install(bare: Path) -> None:
    """There are several ways out, and the message has them."""
    with pytest.raises(BinariesNotFound) as caught:
        binaries.find(None)

    assert "pgsandbox[embedded]" in str(caught.value)
    assert "PGSANDBOX_BINDIR" in str(caught.value)


def test_windows_is_told_to_give_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither flock nor Unix sockets with accounts exist there."""
    monkeypatch.setattr(sys, "platform", "win32")

    with pytest.raises(BinariesNotFound, match="needs Linux or macOS") as caught:
        embedded(reason="a test")

    assert "TEST_DATABASE_URL" in str(caught.value)


def test_programs_of_the_machine_stay_where_they_are(tmp_path: Path) -> None:
    """Who can run them needs no copy."""
    place = _install(tmp_path / "bin", "postgres (PostgreSQL) 16.4")
    settled = binaries.settle(binaries.find(place), tmp_path / "cache", tmp_path / "spare", _US)

    assert settled == place


def test_a_copy_has_what_a_server_needs_and_no_more(tmp_path: Path) -> None:
    """Half of an installation is for compilers."""
    place = _install(tmp_path / "prefix/bin", "postgres (PostgreSQL) 16.4")
    needed = ["lib/libpq.so.5", "lib/postgresql/plpgsql.so", "share/postgresql/postgres.bki"]
    unneeded = ["lib/libpq.a", "lib/other/big", "lib/postgresql/pgxs/x", "share/man/x", "bin/psql"]
    for name in (*needed, *unneeded):
        (tmp_path / "prefix" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "prefix" / name).write_text("x")
    found = binaries.find(place)
    count = found.copy_to(tmp_path / "copy")
    prefix = found.placed_in(tmp_path / "copy").parent
    copied = sorted(str(path.relative_to(prefix)) for path in prefix.rglob("*") if path.is_file())

    assert copied == ["bin/initdb", "bin/postgres", *needed]
    assert count.files == len(copied)


def test_copies_of_one_wheel_have_one_identity(tmp_path: Path) -> None:
    """Several environments of a machine share a server; another version does not."""
    places = [tmp_path / name / binaries.WHEEL / "pginstall18/bin" for name in "ab"]
    one, other = (binaries.find(_install(p, "postgres (PostgreSQL) 18.4")) for p in places)
    newer = binaries.find(
        _install(tmp_path / "c" / binaries.WHEEL / "pginstall18/bin", "postgres (PostgreSQL) 18.5")
    )

    assert one.identity == other.identity
    assert one.identity != newer.identity


def test_programs_of_the_machine_have_an_identity_each(tmp_path: Path) -> None:
    """Their extensions and settings may differ although the version does not."""
    one, other = (
        binaries.find(_install(tmp_path / name / "bin", "postgres (PostgreSQL) 18.4"))
        for name in "ab"
    )

    assert one.identity != other.identity
