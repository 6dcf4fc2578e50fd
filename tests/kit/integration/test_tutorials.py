"""The tutorials, step by step, on projects that begin as the reader's do."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.integration.plugin.projects import Outcome, Project
from tests.kit.integration.recorded import EXAMPLES, normalised, recorded

Step = Callable[..., Outcome]


class Tutorial(Project):
    """A folder to which the files of an example come one by one."""

    def __init__(self, path: Path, example: str) -> None:
        super().__init__(path)
        self._example = EXAMPLES / example

    def add(self, *files: str, under: str = "") -> None:
        """Write *files* as the tutorial shows them; *under* is where the example keeps them."""
        for name in files:
            target = self.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self._example / under / name, target)
        settings = self.path / "pyproject.toml"
        settings.write_text(settings.read_text().replace('name = "shop"', f'name = "{self.name}"'))

    def pytest(self, *arguments: str) -> Outcome:
        """Run pytest as the tutorial says."""
        return self.run(*arguments)


def shown(run: Outcome) -> str:
    """What pytest printed, without what every machine has otherwise, and with short rules."""
    own = ("platform ", "rootdir: ", "plugins: ", "cachedir: ", "configfile: ")
    lines = [line for line in run.out.splitlines() if not line.startswith(own)]
    text = re.sub(r"\b(myapp|bookings)_\d+_test", r"\1_test", normalised("\n".join(lines)))
    return re.sub(r"^([=_-])\1+ (.*?) \1+$", r"\1\1 \2 \1\1", text, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def from_nothing(tmp_path_factory: pytest.TempPathFactory) -> Tutorial:
    """An empty folder."""
    return Tutorial(tmp_path_factory.mktemp("empty"), "tutorial")


@pytest.fixture(scope="module")
def established(tmp_path_factory: pytest.TempPathFactory) -> Tutorial:
    """A Flask project that has no test."""
    project = Tutorial(tmp_path_factory.mktemp("flask"), "flask")
    project.configure("")
    for name in ("__init__.py", "models.py", "projects.py"):
        project.add(f"myapp/{name}")
    return project


@pytest.fixture(scope="module")
def asynchronous(tmp_path_factory: pytest.TempPathFactory) -> Tutorial:
    """A FastAPI project that has no test."""
    project = Tutorial(tmp_path_factory.mktemp("fastapi"), "fastapi")
    project.configure("")
    for name in ("__init__.py", "app.py", "database.py", "models.py"):
        project.add(f"bookings/{name}")
    return project


def test_from_an_empty_folder_to_a_green_test(from_nothing: Tutorial) -> None:
    """Each run prints what the tutorial shows after it."""
    from_nothing.add("pyproject.toml", "models.py", "tests/integration/test_products.py")
    first = from_nothing.pytest()
    from_nothing.add("tests/integration/factories.py", "tests/integration/test_selling.py")
    from_nothing.add("shop.py", under="first_attempt")
    failing = from_nothing.pytest("tests/integration/test_selling.py", "--tb=short")
    from_nothing.add("shop.py")
    green = from_nothing.pytest()

    assert shown(first) == recorded("tutorial/first", shown(first))
    assert shown(failing) == recorded("tutorial/failing", shown(failing))
    assert shown(green) == recorded("tutorial/green", shown(green))
    assert [first.counts, failing.counts, green.counts] == [
        {"passed": 2},
        {"passed": 1, "failed": 1},
        {"passed": 4},
    ]


def test_from_a_flask_project_to_a_green_test(established: Tutorial) -> None:
    """First with the client that a newcomer writes, then with the one of the tutorial."""
    established.add("pyproject.toml", "tests/integration/test_projects.py")
    established.add("tests/integration/conftest.py", under="first_attempt")
    refused = established.pytest("-k", "posted", "--tb=line")
    established.add("tests/integration/conftest.py")
    green = established.pytest()

    assert refused.counts == {"failed": 1, "deselected": 2}
    assert "ForeignDatabase" in refused.out
    assert shown(green) == recorded("tutorial/flask", shown(green))
    assert green.counts == {"passed": 3}


def test_from_a_fastapi_project_to_green_tests(asynchronous: Tutorial) -> None:
    """With httpx, with TestClient, with the dependency overridden, and without a commit."""
    asynchronous.add("pyproject.toml", "tests/__init__.py", "tests/integration/__init__.py")
    for name in ("conftest.py", "factories.py", "test_bookings.py"):
        asynchronous.add(f"tests/integration/{name}")
    green = asynchronous.pytest("-p", "anyio")
    for name in ("test_blocking.py", "test_overriding.py"):
        asynchronous.add(f"tests/integration/{name}")
    whole = asynchronous.pytest("-p", "anyio", "--disable-warnings")
    application = asynchronous.path / "bookings" / "app.py"
    text = application.read_text()
    application.write_text(text.replace("        await session.commit()\n\n", "\n", 1))
    forgotten = asynchronous.pytest("-p", "anyio", "-k", "confirmed")

    assert shown(green) == recorded("tutorial/fastapi", shown(green))
    assert green.counts == {"passed": 3}
    assert (whole.code, whole.counts["passed"]) == (0, 6), whole.text
    assert forgotten.counts["failed"] == 1
    assert "assert False is True" in forgotten.out
