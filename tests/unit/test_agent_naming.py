"""How agents are called, and the one spelling of a project's path."""

from __future__ import annotations

from uuid import UUID

import pytest

from claude_headspace.domain.names import agent_name, default_project_name, project_path


def test_an_agent_is_called_by_project_and_start_of_its_uuid():
    """The name is the project's, a slash, and the first eight characters of the UUID."""
    uuid = UUID("5ca1ab1e-0000-4000-8000-000000000000")

    assert agent_name("headspace", uuid) == "headspace/5ca1ab1e"


@pytest.mark.parametrize(
    "path", ["/srv/one", "/srv/one/", "/srv//one", "/srv/./one", "/srv/two/../one", "//srv/one"]
)
def test_a_path_has_one_spelling(path):
    """However it is written, it is the same project."""
    assert project_path(path) == "/srv/one"


@pytest.mark.parametrize("path", ["", "srv/one", "./one", "~/one"])
def test_a_path_must_be_absolute(path):
    """A relative path would be another project in each working directory."""
    with pytest.raises(ValueError, match="must be an absolute path"):
        project_path(path)


@pytest.mark.parametrize(("path", "name"), [("/srv/one/", "one"), ("/", "/")])
def test_a_project_is_called_by_the_last_part_of_its_path(path, name):
    """Unless it is given a name."""
    assert default_project_name(path) == name
