"""Small projects, written from their files."""

import textwrap

import pytest


@pytest.fixture
def written(tmp_path):
    """A function that writes files, by their names, and returns the project's directory."""

    def write(files):
        for name, text in files.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text).lstrip("\n"))
        return tmp_path

    return write
