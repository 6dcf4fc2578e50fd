"""From what a project is to what would be written into it, with a reason for each line."""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pgsandbox.cli.init import first_test
from pgsandbox.cli.init.applications import Application
from pgsandbox.cli.init.first_test import Side
from pgsandbox.cli.init.looking import Looked, is_in_the_way, is_installed, placeholder
from pgsandbox.cli.init.proposals import Line, Plan, Proposal
from pgsandbox.lint.names import Names

_FLASK = {"SQLAlchemy": "SQLALCHEMY_DATABASE_URI", "Model": "ALCHEMICAL_DATABASE_URL"}


def decide(looked: Looked, *, with_migrations: bool = True) -> Plan:
    """Return what would be written for the project that *looked* describes."""
    if looked.owner is None or not looked.metadata:
        return Plan((), obstacle="No model was found: no class with a table, no MetaData.")
    return _Decision(looked, with_migrations).plan()


class _Decision:
    def __init__(self, looked: Looked, with_migrations: bool) -> None:
        self.looked = looked
        self.with_migrations = with_migrations
        self.folder, self.why_there = _folder(looked)
        self.notes: list[str] = []
        self.obstacle = ""
        self.environ: dict[str, str] = {}
        """What the conftest sets before the application is imported."""
        self.url = ""
        self.why_url = ""
        self.side = Side()
        """How the test reaches the application's own session."""
        self.conftest: list[Line] = []

    def plan(self) -> Plan:
        """Return everything that would be written."""
        self._reach_the_application()
        proposals = [
            *self._configuration(),
            *self._packages(),
            *self._conftest(),
        ]
        test = self.folder / "test_first.py"
        if not test.exists() and not self.obstacle:
            lines, notes = first_test.lines(self.looked, self.side)
            self.notes += notes
            proposals.append(Proposal(test, lines, "one test, green on the first run"))
        there = self._there()
        written = [each for each in proposals if each.is_addition or not each.path.exists()]
        return Plan(written, there, self.notes, self.obstacle, test)

    # -- how the application comes to the test database ---------------------------------------

    def _reach_the_application(self) -> None:
        looked, seen = self.looked, self.looked.imported
        if seen.error:
            where = f" at {seen.place}" if seen.place else ""
            self.obstacle = f"The models can't be imported{where}: {seen.error}"
        elif not sum(seen.tables.values()):
            self.obstacle = f"Importing {', '.join(looked.metadata)} registers no table."
        self.environ = dict(looked.environ)
        app = looked.application
        if app is not None and looked.application_error:
            self.notes.append(
                f"{app.reference} can't be imported: {looked.application_error}. So there is no "
                "fixture for it yet; run pgsandbox init again when it can."
            )
            app = None
        postgres = [e for e in seen.engines if e["is_named"] and e["url"].startswith("postgres")]
        others = [e for e in seen.engines if e not in postgres]
        if postgres:
            self._redirect(postgres)
        elif app is not None and app.framework == "flask" and app.is_factory:
            self._flask_factory(app)
        elif looked.variables:
            self._by_variable()
        elif others:
            self.notes += [
                f"{each['reference']} leads to {each['url']}, which tests will be refused: let its "
                "URL come from the environment, and run pgsandbox init again."
                for each in others
            ]
        if app is not None and app.framework == "fastapi":
            self._fastapi_client(app)
        if app is not None and app.framework == "flask" and not app.is_factory:
            self._flask_object(app)

    def _redirect(self, engines: list[Mapping[str, Any]]) -> None:
        engine = engines[0]
        reference = f"{engine['reference']}.url"
        what = "made when it is imported, so connections to its URL go to the test database"
        if self.environ:
            # The name is resolved before the conftest could set anything.
            self.url, self.why_url = engine["url"], f"{engine['reference']} is {what}"
        else:
            self.url, self.why_url = reference, f"the URL of the engine that is {what}"
        names = {each["url"] for each in engines}
        if len(names) > 1:
            others = ", ".join(
                each["reference"] for each in engines[1:] if each["url"] != (engine["url"])
            )
            self.notes.append(
                f"{others} leads to another database: add a table [tool.pgsandbox.binds] for it, "
                "or name it in allow."
            )
        self.side = Side(engine=engine["reference"], is_async=engine["is_async"])

    def _by_variable(self) -> None:
        looked = self.looked
        variable = looked.variables[0]
        self.url = placeholder(looked.root, looked.sources, looked.drivers)
        place = f"{looked.shown(variable.path)}:{variable.line}"
        self.why_url = f"what conftest.py puts into {variable.name}, which {place} reads"
        self.environ = {variable.name: self.url, **self.environ}
        self.environ[variable.name] = self.url
        engines = looked.imported.engines
        if engines:
            engine = engines[0]
            self.side = Side(engine=engine["reference"], is_async=engine["is_async"])

    def _flask_factory(self, app: Application) -> None:
        module, _, name = app.reference.partition(":")
        owner = self.looked.owner
        key = _FLASK.get(owner.kind if owner else "", "SQLALCHEMY_DATABASE_URI")
        arguments = "pg"
        body: list[Line] = []
        imports = [Line(f"from {module} import {name}", f"makes the application, {self._at(app)}")]
        if app.takes == "mapping":
            mapping = f'{{"{key}": pg.url, "TESTING": True}}'
            call = f"{name}({_argument(app)}{mapping})"
            why = f"{app.parameter} goes into the configuration"
        elif app.takes == "object":
            base, body = self._test_config(app, key, imports)
            call, why = f"{name}({_argument(app)}TestConfig)", f"its configuration is {base}"
        elif app.takes == "name":
            chosen = self._chosen_configuration(app)
            holder, _, held = app.configuration.partition(":")
            imports.append(Line(f"from {holder} import {held}"))
            arguments = "pg, monkeypatch"
            body = [
                Line(
                    f'    monkeypatch.setattr({held}["{chosen}"], "{key}", pg.url)',
                    f"{name} looks its configuration up there",
                )
            ]
            call, why = f'{name}("{chosen}")', "the configuration that is for tests"
        elif app.needs_arguments:
            self.notes.append(
                f"{app.reference} needs arguments that nobody could guess: write the fixture app "
                "in conftest.py, and give the application pg.url."
            )
            return
        elif self.looked.variables and not app.configuration:
            arguments = "pg, monkeypatch"
            variable = self.looked.variables[0].name
            body = [
                Line(
                    f'    monkeypatch.setenv("{variable}", pg.url)',
                    "the factory reads it when it is called",
                )
            ]
            call, why = f"{name}()", "reads the environment"
        elif app.configuration:
            arguments = "pg, monkeypatch"
            body = [*self._held(app, key, imports)]
            call, why = f"{name}()", f"its configuration is {app.configuration}"
        else:
            self.notes.append(f"How {app.reference} learns of its database could not be seen.")
            return
        self.conftest = [
            *sorted(imports, key=lambda line: line.text),
            *_BLANK,
            Line("@pytest.fixture"),
            Line(f"def app({arguments}):", "pg.url is the test database's"),
            *body,
            Line(f"    return {call}", why),
            *_BLANK,
            Line("@pytest.fixture"),
            Line("def client(app):", "the requests of your tests"),
            Line("    return app.test_client()"),
        ]
        if self.looked.owner is not None and self.looked.owner.kind == "SQLAlchemy":
            self.side = Side(flask=self.looked.metadata[0].replace(":", "."))

    def _test_config(
        self, app: Application, key: str, imports: list[Line]
    ) -> tuple[str, list[Line]]:
        holder, _, held = app.configuration.partition(":")
        if holder and held and held.isidentifier():
            imports.append(Line(f"from {holder} import {held}"))
            base = f"({held})"
        else:
            base = ""
        return held or "an object", [
            Line(f"    class TestConfig{base}:"),
            Line("        TESTING = True"),
            Line(f"        {key} = pg.url", "the test database, in place of the application's own"),
            Line(""),
        ]

    def _held(self, app: Application, key: str, imports: list[Line]) -> list[Line]:
        holder, colon, held = app.configuration.partition(":")
        why = f"the factory takes its configuration from {app.configuration}"
        if colon:
            imports.append(Line(f"from {holder} import {held}"))
            return [Line(f'    monkeypatch.setattr({held}, "{key}", pg.url, raising=False)', why)]
        target = f'"{app.configuration}.{key}"'
        return [Line(f"    monkeypatch.setattr({target}, pg.url, raising=False)", why)]

    def _chosen_configuration(self, app: Application) -> str:
        found = self.looked.sources.application.definition(
            app.configuration.replace(":", "."), self.looked.root / "conftest.py"
        )
        keys = [
            str(key.value)
            for key in getattr(found.node, "keys", [])
            if isinstance(key, ast.Constant)
        ]
        for_tests = [key for key in keys if "test" in key.lower()]
        return (for_tests or keys or ["testing"])[0]

    def _flask_object(self, app: Application) -> None:
        module, _, name = app.reference.partition(":")
        if "SQLAlchemy" in str(self.looked.owner and self.looked.owner.kind):
            if not self.environ and not self.url and not self.obstacle:
                self.obstacle = (
                    f"{app.reference} is made when it is imported, with a database that nothing "
                    "can change: take SQLALCHEMY_DATABASE_URI from an environment variable, and "
                    "run pgsandbox init again."
                )
            self.side = Side(flask=self.looked.metadata[0].replace(":", "."))
        self.conftest = [
            Line(f"from {module} import {name} as application", self._at(app)),
            *_BLANK,
            Line("@pytest.fixture"),
            Line("def app():"),
            Line("    return application"),
            *_BLANK,
            Line("@pytest.fixture"),
            Line("def client(app):", "the requests of your tests"),
            Line("    return app.test_client()"),
        ]

    def _fastapi_client(self, app: Application) -> None:
        import importlib.util

        if importlib.util.find_spec("httpx") is None:
            self.notes.append("FastAPI's TestClient needs httpx; install it to send requests.")
            return
        module, _, name = app.reference.partition(":")
        made = f"{name}()" if app.is_factory else name
        if app.needs_arguments:
            return
        self.conftest = [
            Line("from fastapi.testclient import TestClient"),
            Line(f"from {module} import {name}", self._at(app)),
            *_BLANK,
            Line("@pytest.fixture"),
            Line("def client():", "the requests of your tests; `with` would run the lifespan, too"),
            Line(f"    return TestClient({made})"),
        ]

    def _at(self, app: Application) -> str:
        return f"{self.looked.shown(app.path)}:{app.line}"

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
        tables = sum(looked.imported.tables.values())
        counted = f"{tables} table{'' if tables == 1 else 's'}"
        one = len(looked.metadata) == 1
        value = _toml(looked.metadata[0] if one else list(looked.metadata))
        lines = [Line(f"metadata = {value}", f"{owner.kind}, {made}{counted} once imported")]
        if self.url:
            lines.append(Line(f"url = {_toml(self.url)}", self.why_url))
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
                f'{chosen.setting} has {_revisions(chosen.revisions)}: set schema = "migrations" and '
                f'migrations = "{chosen.setting}" once they run on an empty PostgreSQL.'
            )
            return []
        app = looked.application
        lines = [
            Line('schema = "migrations"', "tests meet the tables that production has"),
            Line(f"migrations = {_toml(chosen.setting)}", _revisions(chosen.revisions)),
        ]
        if chosen.needs_application and app is not None and not app.needs_arguments:
            lines.append(
                Line(f"app = {_toml(app.reference)}", "its env.py asks for the current application")
            )
        elif chosen.needs_application:
            self.notes.append(
                f"{chosen.setting}/env.py needs an application and the factory needs arguments: "
                "override the fixture pgsandbox_app to build the schema from the migrations."
            )
            return []
        return lines

    def _pytest_file(self) -> tuple[Path, str] | None:
        """Return the file that pytest takes its settings from for the tests, and their header."""
        for folder in (self.folder, *self.folder.parents):
            for name, header in _PYTEST:
                file = folder / name
                text = file.read_text("utf-8", errors="replace") if file.is_file() else ""
                if header in text.splitlines():
                    return file, header
            if folder == self.looked.root:
                break
        return None

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
        if not self.conftest and not self.environ:
            return []
        lines = [Line('"""The application, as the integration tests meet it."""'), Line("")]
        if self.environ:
            lines += [Line("import os"), Line("")]
        if self.conftest:
            lines += [Line("import pytest")]
        if self.environ:
            first = True
            for name, value in sorted(self.environ.items()):
                is_url = value == self.url
                why = (
                    "never connected to: redirect sends it to the test database"
                    if is_url
                    else "the application can't be imported without it"
                )
                verb = f'os.environ["{name}"] = "{value}"'
                text = verb if is_url else f'os.environ.setdefault("{name}", "{value}")'
                lines += [Line("")] if first and self.conftest else []
                lines.append(Line(text, why))
                first = False
        imports = [line for line in self.conftest if line.text.startswith("from ")]
        rest = self.conftest[len(imports) :]
        note = "  # noqa: E402" if self.environ else ""
        if imports:
            lines.append(Line(""))
            lines += [Line(f"{line.text}{note}", line.why) for line in imports]
        lines += rest
        return [Proposal(file, lines, "the smallest conftest for this kind of project")]

    def _there(self) -> list[str]:
        looked, found = self.looked, []
        table = looked.document.get("tool", {}).get("pgsandbox")
        if table is not None:
            wanted = [line.text.partition(" = ")[0] for line in self._settings()]
            lacking = [key for key in wanted if key not in table]
            said = f"; it lacks {', '.join(lacking)}" if lacking else ""
            found.append(f"pyproject.toml has [tool.pgsandbox]{said}")
        conftest = self.folder / "conftest.py"
        if conftest.exists() and self.conftest:
            text = conftest.read_text("utf-8")
            wanted = [
                line.text.partition("(")[0].removeprefix("def ")
                for line in self.conftest
                if line.text.startswith("def ")
            ]
            lacking = [name for name in wanted if f"def {name}(" not in text]
            said = f"; it lacks the fixture {', '.join(lacking)}" if lacking else ""
            found.append(f"{looked.shown(conftest)} is there{said}")
        test = self.folder / "test_first.py"
        if test.exists():
            found.append(f"{looked.shown(test)} is there")
        return found


_PYTEST = (
    ("pytest.ini", "[pytest]"),
    ("pyproject.toml", "[tool.pytest.ini_options]"),
    ("tox.ini", "[pytest]"),
    ("setup.cfg", "[tool:pytest]"),
)
"""The files that pytest looks into, in its order, each with the header of its settings."""
_BLANK = (Line(""), Line(""))


def _revisions(number: int) -> str:
    return f"{number} revision{'' if number == 1 else 's'}"


def _argument(app: Application) -> str:
    return f"{app.parameter}=" if app.parameter else ""


def _toml(value: str | list[str]) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return "[" + ", ".join(f'"{each}"' for each in value) + "]"


def _folder(looked: Looked) -> tuple[Path, str]:
    """Return where the first test goes, and why if that is not tests/integration."""
    root = looked.root
    if (root / "tests.py").is_file():
        return root / "integration_tests", "tests.py takes the name of a folder tests"
    tests = root / "tests"
    if not tests.is_dir() and (root / "test").is_dir():
        tests = root / "test"
    above = [tests / "conftest.py", root / "conftest.py"]
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
