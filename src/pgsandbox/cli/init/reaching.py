"""How the application comes to the test database: by a setting, a variable, or a fixture."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.engine import make_url

from pgsandbox.cli.init import pytest_env
from pgsandbox.cli.init.applications import FoundApplication
from pgsandbox.cli.init.first_test import Side
from pgsandbox.cli.init.looking import Looked, placeholder
from pgsandbox.cli.init.proposals import Line
from pgsandbox.cli.init.pytest_env import GivenVariable
from pgsandbox.guard import masked

_URIS = {"SQLAlchemy": "SQLALCHEMY_DATABASE_URI", "Model": "ALCHEMICAL_DATABASE_URL"}
"""The key of the configuration that has the URL, by what the tables belong to."""

_BLANK = (Line(""), Line(""))


@dataclass
class Reached:
    """What leads the application to the test database."""

    url: str = ""
    """The setting ``url``; empty where none is needed."""
    why_url: str = ""
    """The reason for it."""
    environ: dict[str, str] = field(default_factory=dict)
    """What conftest.py sets before the application is imported."""
    conftest: Sequence[Line] = ()
    """The imports and fixtures of conftest.py."""
    side: Side = field(default_factory=Side)
    """How a test reaches the application's own session."""
    notes: list[str] = field(default_factory=list)
    """What has to be known."""
    obstacle: str = ""
    """Why there can be no first test."""


def reach(looked: Looked) -> Reached:
    """Return what leads the application of *looked* to the test database."""
    return _Reaching(looked).reached


class _Reaching:
    def __init__(self, looked: Looked) -> None:
        self.looked = looked
        self.reached = Reached(environ=dict(looked.environ))
        self._reach_the_application()

    def _reach_the_application(self) -> None:
        looked, seen = self.looked, self.looked.imported
        if seen.error:
            where = f" at {seen.place}" if seen.place else ""
            self.reached.obstacle = f"The models can't be imported{where}: {seen.error}"
        elif not sum(seen.tables.values()):
            self.reached.obstacle = f"Importing {', '.join(looked.metadata)} registers no table."
        app = looked.application
        if app is not None and looked.application_error:
            self.reached.notes.append(
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
            self.reached.notes += [
                f"{each['reference']} leads to {each['url']}, which tests will be refused: let its "
                "URL come from the environment, and run pgsandbox init again."
                for each in others
            ]
        if app is not None and app.framework == "fastapi":
            self._fastapi_client(app)
        if app is not None and app.framework == "flask" and not app.is_factory:
            self._flask_object(app)
        self._tell_of_pytest_env()

    def _redirect(self, engines: list[Mapping[str, Any]]) -> None:
        engine = engines[0]
        reference = f"{engine['reference']}.url"
        what = "made when it is imported, so connections to its URL go to the test database"
        if self.reached.environ:
            # The name is resolved before the conftest could set anything.
            self.reached.url, self.reached.why_url = (
                engine["url"],
                f"{engine['reference']} is {what}",
            )
        else:
            self.reached.url, self.reached.why_url = (
                reference,
                f"the URL of the engine that is {what}",
            )
        names = {each["url"] for each in engines}
        if len(names) > 1:
            others = ", ".join(
                each["reference"] for each in engines[1:] if each["url"] != (engine["url"])
            )
            self.reached.notes.append(
                f"{others} leads to another database: add a table [tool.pgsandbox.binds] for it, "
                "or name it in allow."
            )
        self.reached.side = Side(engine=engine["reference"], is_async=engine["is_async"])

    def _by_variable(self) -> None:
        looked = self.looked
        given = self._given_postgresql()
        if given is not None:
            url = make_url(given.value)
            self.reached.url = masked(url._replace(password=None).render_as_string())
            self.reached.why_url = f"what pytest-env gives the tests, {looked.place_of(given)}"
        else:
            variable = looked.variables[0]
            self.reached.url = placeholder(looked.root, looked.sources, looked.drivers)
            place = f"{looked.shown(variable.path)}:{variable.line}"
            why = f"what conftest.py puts into {variable.name}, which {place} reads"
            self.reached.why_url = why
            self.reached.environ = {variable.name: self.reached.url, **self.reached.environ}
            self.reached.environ[variable.name] = self.reached.url
        engines = looked.imported.engines
        if engines:
            engine = engines[0]
            self.reached.side = Side(engine=engine["reference"], is_async=engine["is_async"])

    def _given_postgresql(self) -> GivenVariable | None:
        """Return the variable that leads the application to a PostgreSQL in tests already."""
        given = [self.looked.given_for(each.name) for each in self.looked.variables]
        found = (each for each in given if each is not None and each.is_postgresql)
        return next(found, None) if pytest_env.is_installed() else None

    def _tell_of_pytest_env(self) -> None:
        looked = self.looked
        if looked.given and not pytest_env.is_installed():
            self.reached.notes.append(
                f"{looked.place_of(looked.given[0])} gives the tests variables by pytest-env, "
                "which is not installed here: they do not have them."
            )
            return
        for each in looked.given:
            if each.name == "TEST_DATABASE_URL" or each.name.startswith("PGSANDBOX_"):
                what = (
                    "the server to use" if each.name == "TEST_DATABASE_URL" else "a setting of its"
                )
                self.reached.notes.append(
                    f"{looked.place_of(each)} gives the tests {each.masked} by pytest-env: "
                    f"pgsandbox takes it for {what}."
                )
            elif each.name in self.reached.environ:
                self.reached.notes.append(
                    f"{looked.place_of(each)} gives the tests {each.masked} by pytest-env; "
                    "conftest.py gives it another value, which holds from then on for all tests "
                    "of the run. Write the value there, and delete the line of conftest.py."
                )

    def _flask_factory(self, app: FoundApplication) -> None:
        module, _, name = app.reference.partition(":")
        owner = self.looked.owner
        key = _URIS.get(owner.kind if owner else "", "SQLALCHEMY_DATABASE_URI")
        arguments = "pg"
        body: list[Line] = []
        imports = [Line(f"from {module} import {name}", f"makes the application, {self._at(app)}")]
        if app.takes == "mapping":
            mapping = f'{{"{key}": pg.url, "TESTING": True}}'
            call = f"{name}({_argument(app)}{mapping})"
            why = f"{app.parameter} goes into the configuration"
        elif app.takes == "keywords":
            call, why = f"{name}({key}=pg.url, TESTING=True)", "what it is given is configuration"
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
            self.reached.notes.append(
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
            self.reached.notes.append(
                f"How {app.reference} learns of its database could not be seen."
            )
            return
        self.reached.conftest = [
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
            self.reached.side = Side(flask=self.looked.owner.dotted)

    def _test_config(
        self, app: FoundApplication, key: str, imports: list[Line]
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

    def _held(self, app: FoundApplication, key: str, imports: list[Line]) -> list[Line]:
        holder, colon, held = app.configuration.partition(":")
        why = f"the factory takes its configuration from {app.configuration}"
        if colon:
            imports.append(Line(f"from {holder} import {held}"))
            return [Line(f'    monkeypatch.setattr({held}, "{key}", pg.url, raising=False)', why)]
        target = f'"{app.configuration}.{key}"'
        return [Line(f"    monkeypatch.setattr({target}, pg.url, raising=False)", why)]

    def _chosen_configuration(self, app: FoundApplication) -> str:
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

    def _flask_object(self, app: FoundApplication) -> None:
        module, _, name = app.reference.partition(":")
        if self.looked.owner is not None and self.looked.owner.kind == "SQLAlchemy":
            if not self.reached.environ and not self.reached.url and not self.reached.obstacle:
                self.reached.obstacle = (
                    f"{app.reference} is made when it is imported, with a database that nothing "
                    "can change: take SQLALCHEMY_DATABASE_URI from an environment variable, and "
                    "run pgsandbox init again."
                )
            self.reached.side = Side(flask=self.looked.owner.dotted)
        self.reached.conftest = [
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

    def _fastapi_client(self, app: FoundApplication) -> None:
        if importlib.util.find_spec("httpx") is None:
            self.reached.notes.append(
                "FastAPI's TestClient needs httpx; install it to send requests."
            )
            return
        module, _, name = app.reference.partition(":")
        made = f"{name}()" if app.is_factory else name
        if app.needs_arguments:
            self.reached.notes.append(
                f"{app.reference} needs arguments that nobody could guess: write the fixture "
                "client in conftest.py."
            )
            return
        if self.looked.factory_failure:
            self.reached.notes.append(
                f"{app.reference} can't be called without arguments: "
                f"{self.looked.factory_failure}. So there is no fixture client yet."
            )
            return
        self.reached.conftest = [
            Line("from fastapi.testclient import TestClient"),
            Line(f"from {module} import {name}", self._at(app)),
            *_BLANK,
            Line("@pytest.fixture"),
            *_client(made, app),
        ]

    def _at(self, app: FoundApplication) -> str:
        return f"{self.looked.shown(app.path)}:{app.line}"


def _client(made: str, app: FoundApplication) -> list[Line]:
    head = "def client():"
    text = app.path.read_text("utf-8", errors="replace")
    if not re.search(r"\blifespan\s*=|\bon_event\(|\badd_event_handler\(", text):
        return [
            Line(head, "the requests of your tests"),
            Line(f"    return TestClient({made})"),
        ]
    return [
        Line(head, "the requests of your tests"),
        Line(f"    with TestClient({made}) as client:", "`with` runs its lifespan"),
        Line("        yield client"),
    ]


def _argument(app: FoundApplication) -> str:
    return f"{app.parameter}=" if app.parameter else ""
