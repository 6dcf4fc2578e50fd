"""What a project is, as far as reading it tells, and one import in a process of its own."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pgsandbox import lint
from pgsandbox.cli.init import applications, fixture_names, migrations, pytest_env
from pgsandbox.cli.init.applications import FoundApplication, Variable
from pgsandbox.cli.init.importing import Imported, imported
from pgsandbox.cli.init.migrations import Environment
from pgsandbox.cli.init.models import Owner, Sources, metadata_references
from pgsandbox.cli.init.places import files_below, root_of, start_of
from pgsandbox.cli.init.pytest_env import GivenVariable, given_variables
from pgsandbox.lint.names import Names, spelt
from pgsandbox.reports import Finding, Report, in_order

_DRIVERS = ("psycopg2", "psycopg", "asyncpg", "pg8000", "aiosqlite")
_TRIES = 6
_SUPERFLUOUS = {"PGS104", "PGS105", "PGS106"}
"""The rules that find what the kit does already; what breaks another one collides with it."""
_WANTED = {*_SUPERFLUOUS, "PGS101", "PGS102", "PGS103", "PGS107", "PGS201", "PGS302"}


@dataclass(frozen=True)
class Suite:
    """The tests that are there."""

    report: Report
    """What in them is superfluous now, or will collide."""
    conftests: Mapping[Path, Names]
    """Their conftest files."""
    modules: int
    """How many test modules there are."""

    @property
    def superfluous(self) -> list[Finding]:
        """What the kit does already."""
        return [each for each in self.report.findings if each.code in _SUPERFLUOUS]

    @property
    def colliding(self) -> list[Finding]:
        """What leads away from the test database, or hides a fixture of the kit."""
        return [each for each in self.report.findings if each.code not in _SUPERFLUOUS]


@dataclass(frozen=True)
class Looked:
    """A project as it stands."""

    root: Path
    """The directory of its pyproject.toml, or where that belongs."""
    start: Path
    """The folder that its imports are found from."""
    sources: Sources
    """Its modules, read."""
    owner: Owner | None
    """What its tables belong to."""
    metadata: Sequence[str]
    """The references that import every model."""
    models: Sequence[str]
    """The modules that define tables."""
    application: FoundApplication | None
    """The application that tests talk to."""
    variables: Sequence[Variable]
    """The environment variables that hold a database's URL."""
    environments: Sequence[Environment]
    """Its Alembic environments."""
    imported: Imported
    """What importing it showed."""
    application_error: str
    """Why the application itself could not be imported, where the models could."""
    environ: Mapping[str, str]
    """The variables without which it can't be imported, with values that will do."""
    suite: Suite
    """Its tests."""
    document: Mapping[str, Any] = field(default_factory=dict)
    """Its pyproject.toml, read."""
    given: Sequence[GivenVariable] = ()
    """The environment variables that the tests have from pytest-env."""
    drivers: Sequence[str] = ()
    """The drivers that this environment has."""
    plugins: Sequence[str] = ()
    """The plugins of pytest that this environment has."""

    @property
    def factory_failure(self) -> str:
        """Why the application's factory can't be called, and where; nothing where it can."""
        place = self.imported.factory_place
        return f"{self.imported.factory_error}{f' ({place})' if place else ''}"

    def given_for(self, name: str) -> GivenVariable | None:
        """Return what pytest-env gives the tests by that *name*."""
        return next((each for each in self.given if each.name == name), None)

    def place_of(self, given: GivenVariable) -> str:
        """Return the file and the line that give a variable."""
        return f"{self.shown(given.path)}:{given.line}"

    def shown(self, path: Path | None) -> str:
        """Return *path* as people read it."""
        if path is None:
            return ""
        return (path.relative_to(self.root) if path.is_relative_to(self.root) else path).as_posix()


def look(given: Path) -> Looked:
    """Return what the project at *given*, or below it, is."""
    root = root_of(given)
    files = list(files_below(root))
    start = start_of(root, files)
    sources = Sources(root, start)
    owner, metadata, models = metadata_references(sources)
    found = applications.applications(sources)
    application = _with_the_models(found, sources, models)
    variables = applications.variables(sources)
    document = _document(root)
    drivers = [each for each in _DRIVERS if importlib.util.find_spec(each)]
    environments = migrations.environments(root)
    variables_given = given_variables(root)
    in_tests = (
        {each.name: each.value for each in variables_given} if pytest_env.is_installed() else {}
    )
    seen, left_out, environ = _imported(
        (root, start),
        metadata,
        application,
        _is_called(application, environments),
        variables,
        sources,
        drivers,
        in_tests,
    )
    suite = _suite(root, start, files, sources, document)
    if in_tests:
        suite = replace(suite, report=_with_given(suite.report, root, variables_given))
    return Looked(
        root,
        start,
        sources,
        owner,
        metadata,
        models,
        application,
        variables,
        environments,
        seen,
        left_out,
        environ,
        suite,
        document,
        variables_given,
        drivers,
        sorted({each.name for each in importlib.metadata.entry_points(group="pytest11")}),
    )


def is_asynchronous(sources: Sources) -> bool:
    """Whether the application awaits its sessions."""
    words = ("create_async_engine", "AsyncEngine(", "AsyncSession")
    return any(word in module.source.text for module in sources.modules.values() for word in words)


def placeholder(root: Path, sources: Sources, drivers: Sequence[str]) -> str:
    """Return a URL that an application can be given before there is a test database."""
    asynchronous = "asyncpg" if "asyncpg" in drivers else "psycopg"
    driver = asynchronous if is_asynchronous(sources) else "psycopg2"
    return f"postgresql+{driver}://localhost/{root.name.replace('-', '_').lower()}"


def _imported(
    places: tuple[Path, Path],
    metadata: Sequence[str],
    application: FoundApplication | None,
    is_called: bool,
    variables: Sequence[Variable],
    sources: Sources,
    drivers: Sequence[str],
    in_tests: Mapping[str, str],
) -> tuple[Imported, str, dict[str, str]]:
    """Import the models and the application's module, and return what made the latter fail."""
    environ: dict[str, str] = {}
    left_out = ""
    if not metadata:
        return Imported(error="no model was found, so nothing was imported"), "", environ
    others = []
    factory = told = ""
    if application is not None:
        others = [application.reference.partition(":")[0]]
        factory = application.reference if is_called else ""
    root, start = places
    url = placeholder(root, sources, drivers)
    seen = Imported()
    for _ in range(_TRIES):
        seen = imported(root, (start, root), metadata, others, {**in_tests, **environ}, factory)
        if seen.has_ended and factory:
            factory, told = "", seen.error.replace("importing", "calling it")
            continue
        why = seen.error or seen.factory_error
        is_of_url = "None" in why or "parse" in why or "url" in why.lower()
        if not why:
            break
        new = [name for name in seen.missing if name not in environ and name not in in_tests]
        if not new and is_of_url:
            new = [each.name for each in variables if each.name not in environ][:1]
        if not new:
            if not others or not seen.error:
                break
            others, factory = [], ""  # the models alone are enough for a first test
            left_out = f"{seen.error} ({seen.place})" if seen.place else seen.error
            continue
        for name in new:
            environ[name] = _value_for(name, url, [each.name for each in variables])
    return (replace(seen, factory_error=told) if told else seen), left_out, environ


def _with_the_models(
    found: Sequence[FoundApplication], sources: Sources, models: Sequence[str]
) -> FoundApplication | None:
    """Return the likeliest application; of several of its kind, the first that has the models.

    A repository may hold several, as one of examples or of services does.
    """
    kind = [each for each in found if each.is_factory == found[0].is_factory]
    with_models = (
        each
        for each in kind
        if not sources.closure(each.reference.partition(":")[0], later=True).isdisjoint(models)
    )
    return next(with_models, found[0] if found else None)


def _is_called(application: FoundApplication | None, environments: Sequence[Environment]) -> bool:
    """Whether the tests will call the factory as it is, without arguments."""
    if application is None or not application.is_factory or application.needs_arguments:
        return False
    is_migrated = any(each.needs_application and each.revisions for each in environments[:1])
    return application.framework == "fastapi" or is_migrated


def _value_for(name: str, url: str, variables: Sequence[str]) -> str:
    lowered = name.lower()
    if name in variables or lowered.endswith(("_url", "_uri", "_dsn")):
        is_database = any(word in lowered for word in ("database", "db", "postgres", "sql"))
        return url if is_database or name in variables else "http://localhost"
    if "port" in lowered:
        return "5432"
    if lowered.endswith(("host", "server", "hostname")):
        return "localhost"
    if "email" in lowered:
        return "tests@example.com"
    is_number = any(word in lowered for word in ("minutes", "seconds", "days", "count", "size"))
    # Long enough for those that look at a secret's length.
    return "1" if is_number else "only-for-tests-and-worth-nothing"


def _suite(
    root: Path,
    start: Path,
    files: Sequence[Path],
    sources: Sources,
    document: Mapping[str, Any],
) -> Suite:
    tests = [file for file in files if sources.application.is_test(file)]
    report = lint.check(
        lint.Project(
            root=root,
            given=tuple(tests),
            sources=(start,),
            redirect=document.get("tool", {}).get("pgsandbox", {}).get("redirect", False),
        ),
    )
    conftests = {
        file: names
        for file in tests
        if file.name == "conftest.py" and (names := sources.application.names_of(file)) is not None
    }
    findings = [each for each in report.findings if each.code in _WANTED]
    findings.extend(fixture_names.hiding(root, conftests))
    findings.extend(fixture_names.hidden())
    modules = sum(file.name != "conftest.py" and "test" in file.name for file in tests)
    return Suite(Report(in_order(findings), report.summary), conftests, modules)


def _with_given(report: Report, root: Path, given: Sequence[GivenVariable]) -> Report:
    """Add what pytest-env leads elsewhere."""
    findings = [
        Finding(
            "pytest-env",
            f"gives the tests {each.masked}, which is no PostgreSQL and will be refused",
            path=each.path.relative_to(root).as_posix(),
            line=each.line,
            remedy="Delete the line, or give it a URL of PostgreSQL.",
        )
        for each in given
        if each.is_database and not each.is_postgresql
    ]
    return Report(in_order([*report.findings, *findings]), report.summary)


def is_in_the_way(names: Names) -> bool:
    """Whether a conftest.py's fixtures would act on every test below it, or hide the kit's."""
    for name, function in names.fixtures.items():
        if fixture_names.hides(names, name):
            return True
        for decorator in function.decorator_list:
            words = [
                keyword.arg
                for keyword in getattr(decorator, "keywords", [])
                if getattr(keyword.value, "value", None) is True
            ]
            if "autouse" in words and spelt(getattr(decorator, "func", decorator)):
                return True
    return False


def is_installed(package: str, root: Path) -> bool:
    """Whether *package* can be imported from anywhere, and not only from its own folder."""
    path = list(sys.path)
    try:
        sys.path[:] = [
            each
            for each in path
            if (each and not Path(each).resolve().is_relative_to(root)) or "site-packages" in each
        ]
        importlib.invalidate_caches()
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False
    finally:
        sys.path[:] = path


def _document(root: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
