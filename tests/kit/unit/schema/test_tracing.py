"""What the building of a schema reads is known afterwards."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pgsandbox.schema.tracing import Trace, encode, is_current


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A file that a seed reads, beside one that it does not read."""
    (tmp_path / "other.txt").write_text("other")
    file = tmp_path / "rows.txt"
    file.write_text("tea")
    return file


def traced(data: Path) -> str:
    """What a build knows that read the file."""
    with Trace(data.parent) as trace:
        data.read_text()
    return encode("f", trace.inputs())


def test_what_is_unchanged_is_current(data: Path) -> None:
    """Files that were not read may change."""
    inputs = traced(data)
    (data.parent / "other.txt").write_text("changed")

    assert is_current(inputs, "f", data.parent)


def test_a_file_that_was_read_counts(data: Path) -> None:
    """By what is in it."""
    inputs = traced(data)
    data.write_text("coffee")

    assert not is_current(inputs, "f", data.parent)


def test_a_file_that_is_gone_counts(data: Path) -> None:
    """The next build would fail, and has to."""
    inputs = traced(data)
    data.unlink()

    assert not is_current(inputs, "f", data.parent)


def test_a_folder_that_was_listed_counts(data: Path) -> None:
    """A seed that loads all files of a folder loads the new one, too."""
    with Trace(data.parent) as trace:
        list(data.parent.glob("*.csv"))
    inputs = encode("f", trace.inputs())

    assert is_current(inputs, "f", data.parent)
    (data.parent / "new.csv").write_text("milk")
    assert not is_current(inputs, "f", data.parent)


def test_a_module_that_was_imported_counts(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its source, though Python reads its cache."""
    module = data.parent / "rows_of_the_seed.py"
    module.write_text("ROWS = 1")
    monkeypatch.syspath_prepend(data.parent)
    with Trace(data.parent) as trace:
        __import__(module.stem)
    del sys.modules[module.stem]
    inputs = encode("f", trace.inputs())
    module.write_text("ROWS = 2")

    assert "rows_of_the_seed.py" in trace.inputs()
    assert not is_current(inputs, "f", data.parent)


def test_another_fingerprint_is_not_current(data: Path) -> None:
    """Two addresses may share their first letters."""
    assert not is_current(traced(data), "g", data.parent)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"fingerprint": "f", "inputs": []}'])
def test_what_can_not_be_read_is_not_current(data: Path, text: str) -> None:
    """A mark may have been written by anybody."""
    assert not is_current(text, "f", data.parent)


def test_a_program_is_an_obstacle(data: Path) -> None:
    """What it read, nobody knows."""
    with Trace(data.parent) as trace:
        subprocess.run([sys.executable, "-c", ""], check=True)

    assert len(trace.obstacles) == 1
    assert trace.obstacles[0].startswith("it started a program (subprocess.Popen: ")


def test_a_connection_is_an_obstacle(data: Path) -> None:
    """But one to the server itself is what a build is for."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = listening.getsockname()
        with Trace(data.parent, addresses=[address]) as allowed:
            socket.create_connection(address).close()
        with Trace(data.parent) as refused:
            socket.create_connection(address).close()

    assert allowed.obstacles == []
    assert refused.obstacles == [f"it connected to {address}"]


def test_what_is_only_written_does_not_count(data: Path) -> None:
    """A log, or a report."""
    with Trace(data.parent) as trace:
        (data.parent / "log.txt").write_text("built")
        with (data.parent / "log.txt").open("a") as log:
            log.write("again")
        descriptor = os.open(data.parent / "raw.txt", os.O_WRONLY | os.O_CREAT)
        os.close(descriptor)

    assert trace.inputs() == {}


def test_nothing_is_noted_outside_of_the_block(data: Path) -> None:
    """The listener stays, and does nothing."""
    with Trace(data.parent) as trace:
        pass
    data.read_text()

    assert trace.inputs() == {}
