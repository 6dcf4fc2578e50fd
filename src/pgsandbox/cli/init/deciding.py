"""From what a project is to what would be written into it, with a reason for each line."""

from __future__ import annotations

import fnmatch
import os
from pathlib import Path

from pgsandbox.cli.init import first_test
from pgsandbox.cli.init.fixture_names import hides
from pgsandbox.cli.init.looking import Looked, is_in_the_way, is_installed
from pgsandbox.cli.init.proposals import Line, Plan, Proposal
from pgsandbox.cli.init.pytest_settings import settings_file, settings_in, test_paths
from pgsandbox.cli.init.reaching import reach
from pgsandbox.config import named_paths
from pgsandbox.lint.names import Names

_NO_MODEL = (
    "No model was found: no class with a table, no MetaData. Where the tests or SQL make the "
    "tables, write by hand: metadata, which names an empty MetaData, and seed, which may do "
    "nothing."
)


def decide(looked: Looked, *, with_migrations: bool = True) -> Plan:
    """Return what would be written for the project that *looked* describes."""
    if looked.owner is None or not looked.metadata:
        return Plan((), obstacle=_NO_MODEL)
    return _Decision(looked, with_migrations).plan()


class _Decision:
    def __init__(self, looked: Looked, with_migrations: bool) -> None:
        self.looked = looked
        self.with_migrations = with_migrations
        self.folder, self.why_there = _folder(looked)
        self.reached = reach(looked)
        self.notes = list(self.reached.notes)

    def plan(self) -> Plan:
        """Return everything that would be written."""
        proposals = [
            *self._configuration(),
            *self._packages(),
            *self._conftest(),
        ]
        test = self._test_file()
        if not test.exists() and not self.reached.obstacle:
            lines, notes = first_test.lines(self.looked, self.reached.side)
            self.notes += notes
            proposals.append(Proposal(test, lines, "one test, green on the first run"))
            self._note_where_pytest_looks()
        there = self._there()
        written = [each for each in proposals if each.is_addition or not each.path.exists()]
        return Plan(written, there, list(dict.fromkeys(self.notes)), self.reached.obstacle, test)

    def _note_where_pytest_looks(self) -> None:
        root = self.looked.root
        paths = test_paths(root)
        places = [place.resolve() for each in paths for place in named_paths(root, each)]
        folder = self.folder.resolve()
        if places and not any(folder.is_relative_to(each) for each in places):
            shown = self.looked.shown(self.folder)
            self.notes.append(
                f"pytest's testpaths ({', '.join(paths)}) leave out {shown}: add it there, or a "
                "run that names no folder does not collect it."
            )

    def _test_file(self) -> Path:
        """Return the file of the first test, by a name that pytest collects in this project."""
        patterns = self._python_files()
        return self.folder / next(
            (
                name
                for name in ("test_first.py", "first_test.py", "tests_first.py", "first_tests.py")
                if any(fnmatch.fnmatch(name, each) for each in patterns)
            ),
            "test_first.py",
        )

    def _python_files(self) -> list[str]:
        found = self._pytest_file()
        if found is None:
            return ["test_*.py"]
        given = settings_in(*found).get("python_files")
        return given.split() if isinstance(given, str) else list(given or ["test_*.py"])

    # -- the files ----------------------------------------------------------------------------

    def _configuration(self) -> list[Proposal]:
        file = self.looked.root / "pyproject.toml"
        tools = self.looked.document.get("tool", {})
        found = []
        if "pgsandbox" not in tools:
            lines = [Line("[tool.pgsandbox]", "switches pgsandbox on"), *self._settings()]
            lines += self._pythonpath_table()
            lead = [Line("")] if file.exists() else []
            found.append(Proposal(file, [*lead, *lines], "the settings", is_addition=file.exists()))
        found += self._pythonpath_line()
        return found

    def _settings(self) -> list[Line]:
        looked = self.looked
        owner = looked.owner
        assert owner is not None
        made = f"{looked.shown(owner.path)}:{owner.line}, " if owner.path else ""
        # All references name one MetaData, by several modules.
        tables = max(looked.imported.tables.values(), default=0)
        counted = f"{tables} table{'' if tables == 1 else 's'}"
        one = len(looked.metadata) == 1
        value = _toml(looked.metadata[0] if one else list(looked.metadata))
        lines = [Line(f"metadata = {value}", f"{owner.kind}, {made}{counted} once imported")]
        if self.reached.url:
            lines.append(Line(f"url = {_toml(self.reached.url)}", self.reached.why_url))
            lines.append(Line("redirect = true", "the application keeps its own engine"))
        lines += self._schema()
        inside = self.folder.relative_to(looked.root).as_posix()
        if inside != "tests/integration":
            lines.append(Line(f"paths = {_toml([inside])}", self.why_there))
        return lines

    def _schema(self) -> list[Line]:
        looked = self.looked
        usable = [each for each in looked.environments if each.revisions]
        if not usable:
            return []
        chosen = usable[0]
        if len(usable) > 1:
            others = ", ".join(each.setting for each in usable[1:])
            self.notes.append(f"There are other Alembic environments, too: {others}.")
        if not self.with_migrations:
            self.notes.append(
                f"{chosen.setting} has {_revisions(chosen.revisions)}: set schema = "
                f'"migrations" and migrations = "{chosen.setting}" once they run on an empty '
                "PostgreSQL."
            )
            return []
        app = looked.application
        lines = [
            Line('schema = "migrations"', "tests meet the tables that production has"),
            Line(f"migrations = {_toml(chosen.setting)}", _revisions(chosen.revisions)),
        ]
        if not chosen.needs_application:
            return lines
        if app is None or app.needs_arguments:
            why = "the factory needs arguments" if app else "no application was found"
            self.notes.append(
                f"{chosen.setting}/env.py needs an application and {why}: "
                "override the fixture pgsandbox_app to build the schema from the migrations."
            )
            return []
        if looked.factory_failure:
            self.notes.append(
                f"{chosen.setting}/env.py needs an application, and {app.reference} can't be "
                f"called without arguments: {looked.factory_failure}. So the tables come from the "
                "models. Mend that, or name a function of your tests in `app` that returns the "
                f'application; then set schema = "migrations", migrations = "{chosen.setting}".'
            )
            return []
        return [
            *lines,
            Line(f"app = {_toml(app.reference)}", "its env.py asks for the current application"),
        ]

    def _pytest_file(self) -> tuple[Path, str] | None:
        return settings_file(self.folder, self.looked.root)

    def _pythonpath(self, seen_from: Path) -> str:
        """Return the path from there by which the project is imported; nothing if it is known."""
        looked = self.looked
        package = looked.metadata[0].partition(":")[0].partition(".")[0]
        if is_installed(package, looked.root):
            return ""
        return Path(os.path.relpath(looked.start, seen_from)).as_posix()

    def _pythonpath_table(self) -> list[Line]:
        path = self._pythonpath(self.looked.root)
        if not path or self._pytest_file() is not None:
            return []
        return [
            Line(""),
            Line("[tool.pytest.ini_options]"),
            Line(f"pythonpath = {_toml([path])}", "tests import the project from there"),
        ]

    def _pythonpath_line(self) -> list[Proposal]:
        """Return the one line that goes into a table which is there."""
        found = self._pytest_file()
        path = self._pythonpath(found[0].parent) if found else ""
        if found is None or not path:
            return []
        file, header = found
        if "pythonpath" in file.read_text("utf-8", errors="replace"):
            return []
        value = _toml([path]) if file.suffix == ".toml" else path
        line = Line(f"pythonpath = {value}", "tests import the project from there")
        return [Proposal(file, [line], "one line", header, is_addition=True)]

    def _packages(self) -> list[Proposal]:
        """Return the __init__.py that the folder needs where the tests are packages."""
        above = self.folder.parent
        file = self.folder / "__init__.py"
        if not (above / "__init__.py").is_file() or above == self.looked.root or file.exists():
            return []
        return [Proposal(file, [], "a package, as the folder above it is")]

    def _conftest(self) -> list[Proposal]:
        file = self.folder / "conftest.py"
        own = self._own_fixtures()
        if not self.reached.conftest and not self.reached.environ and not own:
            return []
        lines = [Line('"""The application, as the integration tests meet it."""'), Line("")]
        if self.reached.environ:
            lines += [Line("import os"), Line("")]
        imports = [line for line in self.reached.conftest if line.text.startswith("from ")]
        libraries = [line for line in imports if line.text.startswith("from fastapi")]
        if self.reached.conftest:
            lines += [Line("import pytest"), *libraries]
        if self.reached.environ:
            first = True
            for name, value in sorted(self.reached.environ.items()):
                is_url = value == self.reached.url
                why = (
                    "never connected to: redirect sends it to the test database"
                    if is_url
                    else "the application can't be imported without it"
                )
                verb = f'os.environ["{name}"] = "{value}"'
                text = verb if is_url else f'os.environ.setdefault("{name}", "{value}")'
                lines += [Line("")] if first and self.reached.conftest else []
                lines.append(Line(text, why))
                first = False
        if own and self.reached.environ:
            lines.append(Line(""))
        lines += own
        rest = self.reached.conftest[len(imports) :]
        note = "  # noqa: E402" if self.reached.environ else ""
        if imports:
            lines.append(Line(""))
            lines += [
                Line(f"{line.text}{note}", line.why) for line in imports if line not in libraries
            ]
        lines += rest
        return [Proposal(file, lines, "the smallest conftest for this kind of project")]

    def _own_fixtures(self) -> list[Line]:
        """Return the imports that bring back what a conftest above hides from the first test."""
        hidden = {
            name: f"{self.looked.shown(file)}:{function.lineno}"
            for file, names in self.looked.suite.conftests.items()
            if file.parent in self.folder.parents
            for name, function in names.fixtures.items()
            if name in _MODULES and hides(names, name)
        }
        codes = "E402, F401" if self.reached.environ else "F401"
        return [
            Line(
                f"from pgsandbox.plugin.{_MODULES[name]} import {name}  # noqa: {codes}",
                f"{place} hides it",
            )
            for name, place in sorted(hidden.items())
        ]

    def _there(self) -> list[str]:
        looked, found = self.looked, []
        table = looked.document.get("tool", {}).get("pgsandbox")
        if table is not None:
            wanted = [line.text.partition(" = ")[0] for line in self._settings()]
            lacking = [key for key in wanted if key not in table]
            said = f"; it lacks {', '.join(lacking)}" if lacking else ""
            found.append(f"pyproject.toml has [tool.pgsandbox]{said}")
        conftest = self.folder / "conftest.py"
        if conftest.exists() and self.reached.conftest:
            text = conftest.read_text("utf-8")
            wanted = [
                line.text.partition("(")[0].removeprefix("def ")
                for line in self.reached.conftest
                if line.text.startswith("def ")
            ]
            lacking = [name for name in wanted if f"def {name}(" not in text]
            said = f"; it lacks the fixture {', '.join(lacking)}" if lacking else ""
            found.append(f"{looked.shown(conftest)} is there{said}")
        test = self._test_file()
        if test.exists():
            found.append(f"{looked.shown(test)} is there")
        return found


_MODULES = {"async_db_session": "async_fixtures", "db_session": "fixtures"}
"""The fixtures that a first test may ask for, with the module of ``pgsandbox.plugin`` each."""


def _revisions(number: int) -> str:
    return f"{number} revision{'' if number == 1 else 's'}"


def _toml(value: str | list[str]) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return "[" + ", ".join(f'"{each}"' for each in value) + "]"


def _folder(looked: Looked) -> tuple[Path, str]:
    """Return where the first test goes, and why if that is not tests/integration."""
    root = looked.root
    table = looked.document.get("tool", {}).get("pgsandbox")
    if table is not None:
        return root / table.get("paths", ["tests/integration"])[0], "the setting says so"
    if (root / "tests.py").is_file():
        return root / "integration_tests", "tests.py takes the name of a folder tests"
    tests = root / "tests"
    others = ["test", *test_paths(root)]
    if not tests.is_dir():
        places = (place for each in others for place in named_paths(root, each))
        tests = next(filter(Path.is_dir, places), tests)
    if any((tests / name).is_file() for name in ("pytest.ini", "pyproject.toml")):
        return root / "integration_tests", f"for pytest, {tests.name}/ is a project of its own"
    above = [each / "conftest.py" for each in (tests, *tests.parents)]
    in_the_way = [
        file
        for file, names in looked.suite.conftests.items()
        if file in above
        and (is_in_the_way(names) or (looked.environ and _imports_the_project(looked, names)))
    ]
    if in_the_way and in_the_way[0].parent == tests:
        shown = looked.shown(in_the_way[0])
        return root / "integration_tests", f"{shown} acts on every test below it"
    folder = tests / "integration"
    own = {"conftest.py", "test_first.py", "__init__.py", "factories.py"}
    there = {file.name for file in folder.rglob("*.py")} if folder.is_dir() else set()
    if there - own and "test_first.py" not in there:
        return (
            tests / "postgresql",
            f"{looked.shown(folder)} has tests that know nothing of pgsandbox",
        )
    return folder, "the first tests with a database are there"


def _imports_the_project(looked: Looked, names: Names) -> bool:
    return any(
        dotted.startswith(f"{module}.") or dotted == module
        for _, _, dotted in names.imports()
        for module in looked.sources.modules
    )
