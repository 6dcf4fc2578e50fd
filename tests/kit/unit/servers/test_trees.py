"""Folders copied whole, and the cache made of them."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from pgsandbox.servers import trees


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with a program, a text and an empty folder."""
    source = tmp_path / "source"
    (source / "below/empty").mkdir(parents=True)
    (source / "program").write_text("run me")
    (source / "program").chmod(0o700)
    (source / "below/text").write_bytes(b"x" * 3_000_000)
    return source


def _modes(tree: Path) -> dict[str, int]:
    return {
        str(path.relative_to(tree)): stat.S_IMODE(path.stat().st_mode) for path in tree.rglob("*")
    }


def test_programs_are_for_everybody(source: Path, tmp_path: Path) -> None:
    """However closed the original is: another user runs them."""
    count = trees.copy_programs(source, tmp_path / "copy")

    assert count == trees.Count(2, 3_000_006) == trees.counted(tmp_path / "copy")
    assert _modes(tmp_path / "copy") == {
        "below": 0o755,
        "below/empty": 0o755,
        "below/text": 0o644,
        "program": 0o755,
    }


def test_data_is_for_its_owner(source: Path, tmp_path: Path) -> None:
    """PostgreSQL refuses a data directory that others can read."""
    trees.copy_data(source, tmp_path / "copy")

    assert set(_modes(tmp_path / "copy").values()) == {0o700, 0o600}


def test_a_published_entry_is_found_with_its_count(source: Path, tmp_path: Path) -> None:
    """The count tells whether it is still whole."""
    trees.publish(tmp_path / "entry", lambda tree: trees.copy_data(source, tree))
    entry = trees.find(tmp_path / "entry")

    assert entry == (tmp_path / "entry/tree", trees.Count(2, 3_000_006))
    assert trees.counted(tmp_path / "entry/tree") == entry[1]


def test_what_is_published_already_stays(source: Path, tmp_path: Path) -> None:
    """Somebody else was quicker."""
    trees.publish(tmp_path / "entry", lambda tree: trees.copy_data(source, tree))
    trees.publish(tmp_path / "entry", lambda _tree: pytest.fail("made twice"))

    assert trees.find(tmp_path / "entry") is not None


def test_what_failed_half_way_leaves_nothing(tmp_path: Path) -> None:
    """A full disk, say."""

    def fail(tree: Path) -> trees.Count:
        tree.mkdir()
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        trees.publish(tmp_path / "entry", fail)

    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_an_entry_without_a_readable_count_is_none(tmp_path: Path) -> None:
    """As after a loss of power; it is replaced."""
    (tmp_path / "entry/tree").mkdir(parents=True)
    (tmp_path / "entry/count").write_text("")

    assert trees.find(tmp_path / "entry") is None


def test_a_discarded_entry_is_gone(source: Path, tmp_path: Path) -> None:
    """And discarding what is not there changes nothing."""
    trees.publish(tmp_path / "entry", lambda tree: trees.copy_data(source, tree))
    trees.discard(tmp_path / "entry")
    trees.discard(tmp_path / "entry")

    assert not (tmp_path / "entry").exists()
