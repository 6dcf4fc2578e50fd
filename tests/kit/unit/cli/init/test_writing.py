"""What is written, and what is left alone."""

import errno
from pathlib import Path

import pytest

from pgsandbox.cli.init.proposals import Line, Proposal
from pgsandbox.cli.init.writing import take_back, write
from pgsandbox.errors import ConfigurationError

LINES = [Line("[tool.pgsandbox]", "switches it on"), Line('metadata = "shop:db"')]


def test_a_new_file_has_the_lines_and_not_their_reasons(tmp_path):
    """With the folders that it needs."""
    file = tmp_path / "tests" / "integration" / "conftest.py"
    write([Proposal(file, LINES, "the settings")])

    assert file.read_text() == '[tool.pgsandbox]\nmetadata = "shop:db"\n'


def test_a_file_is_never_overwritten(tmp_path):
    """Also not one that came into being since somebody looked; what was written before goes."""
    file, new = tmp_path / "conftest.py", tmp_path / "factories.py"
    file.write_text("mine\n")

    with pytest.raises(ConfigurationError, match="stays as it is"):
        write([Proposal(new, LINES, "factories"), Proposal(file, LINES, "the settings")])
    assert file.read_text() == "mine\n"
    assert not new.exists()


def test_nothing_stays_of_a_file_that_was_half_written(tmp_path, monkeypatch):
    """On a full disk, say."""
    settings = tmp_path / "pyproject.toml"
    settings.write_text("mine\n")
    written = Path.write_text

    def write_half(path, text, encoding):
        if text == "mine\n":
            return written(path, text, encoding)
        written(path, text[:-1], encoding)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", write_half)
    with pytest.raises(ConfigurationError, match="No space left on device"):
        write([Proposal(settings, LINES, "the settings", is_addition=True)])
    assert settings.read_text() == "mine\n"


def test_what_cannot_be_written_is_named_and_nothing_stays(tmp_path):
    """The files before it are as they were."""
    settings = tmp_path / "pyproject.toml"
    settings.write_text("mine\n")
    refused = settings / "conftest.py"

    with pytest.raises(ConfigurationError, match=r"could not be written(.|\n)*conftest\.py"):
        write(
            [
                Proposal(settings, LINES, "the settings", is_addition=True),
                Proposal(refused, LINES, "the fixtures"),
            ]
        )
    assert settings.read_text() == "mine\n"


@pytest.mark.parametrize(
    ("held", "after", "text"),
    [
        ("a = 1\n", "", "a = 1\nnew\n"),
        ("a = 1", "", "a = 1\nnew\n"),
        ("[pytest]\na = 1\n", "[pytest]", "[pytest]\nnew\na = 1\n"),
    ],
    ids=["end", "no newline", "behind a header"],
)
def test_lines_are_added(tmp_path, held, after, text):
    """At the end, or behind the header that they belong to; nothing else changes."""
    file = tmp_path / "pytest.ini"
    file.write_text(held)
    write([Proposal(file, [Line("new")], "one line", after, is_addition=True)])

    assert file.read_text() == text


def test_what_was_written_can_be_taken_back(tmp_path):
    """Files that were there are as before, others are gone."""
    there, new = tmp_path / "pyproject.toml", tmp_path / "conftest.py"
    there.write_text("a = 1\n")
    before = write(
        [
            Proposal(there, LINES, "the settings", is_addition=True),
            Proposal(new, LINES, "the fixtures"),
        ]
    )
    take_back(before)

    assert there.read_text() == "a = 1\n"
    assert not new.exists()
