"""What a check is given: one file of tests, and what is around it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property

from pgsandbox.lint.application_sources import ApplicationSources, Definition
from pgsandbox.lint.names import KIT_FIXTURES, Names, spelt
from pgsandbox.lint.source import Function, Source, walk

_DEEP = 8
LIBRARIES = {"flask_sqlalchemy", "flask_sqlalchemy_lite", "sqlalchemy", "sqlmodel"}

ENGINE_MAKERS = {
    "async_engine_from_config",
    "create_async_engine",
    "create_engine",
    "engine_from_config",
}
SESSION_MAKERS = {"async_sessionmaker", "sessionmaker"}
SCOPED = {"async_scoped_session", "scoped_session"}
SESSIONS = {"AsyncSession", "Session"}


@dataclass(frozen=True)
class Found:
    """A place that breaks a rule."""

    code: str
    """The rule."""
    node: ast.AST
    """What breaks it."""
    message: str
    """What it does, in one line."""
    remedy: str = ""
    """What to do instead, where that is not what the rule says."""


@dataclass(frozen=True, eq=False)
class Context:
    """One file, and how to learn what its names stand for."""

    source: Source
    names: Names
    application: ApplicationSources
    forbidden: tuple[str, ...] = ()
    """The dotted names that tests may not import."""
    redirect: bool = False
    """Whether the application's own engines lead to the test database."""

    def canonical(self, node: ast.AST) -> str | None:
        """Return the dotted name under which what *node* stands for is defined."""
        dotted = self.names.dotted(node)
        return self.application.origin(dotted, self.source.path) if dotted else None

    def definition(self, dotted: str) -> Definition:
        """Return what *dotted* names."""
        return self.application.definition(dotted, self.source.path)

    def is_from_sqlalchemy(self, node: ast.AST, names: set[str]) -> bool:
        """Whether *node* stands for one of SQLAlchemy's own *names*."""
        return is_from_sqlalchemy(self.canonical(node), names)

    def follows_the_kit(self, node: ast.AST, depth: int = 0) -> bool | None:
        """Whether what *node* evaluates to is made from a fixture of pgsandbox.

        None where that can't be told from here: a caller's argument, a fixture of a plugin.
        """
        answers = {
            self._name_follows(each, depth) for each in walk(node) if isinstance(each, ast.Name)
        }
        answers |= {
            True
            for each in walk(node)
            if isinstance(each, ast.Constant) and each.value in KIT_FIXTURES
        }
        if True in answers:
            return True
        return None if None in answers else False

    def is_of_the_kit(self, name: str) -> bool:
        """Whether the fixture *name* is one of pgsandbox, or made from one."""
        return self._fixture_follows(name, 0) is True

    @cached_property
    def tests(self) -> list[Function]:
        """The test functions and methods of the file."""
        return [function for function in self.source.functions() if self._is_test(function)]

    def is_fixture(self, function: Function | None) -> bool:
        """Whether *function* is a fixture of pytest."""
        return function is not None and function in self.names.fixtures.values()

    def fixture(self, name: str) -> tuple[Function, Names] | None:
        """Return the fixture *name* as a test of this file gets it, if its file is known."""
        folders = self.source.path.parents
        conftests = [
            folder / "conftest.py"
            for folder in folders
            if folder.is_relative_to(self.application.root)
        ]
        for file in (self.source.path, *conftests):
            names = self.names if file == self.source.path else None
            if names is None and file.is_file():
                names = self.application.names_of(file)
            if names is not None and name in names.fixtures:
                return names.fixtures[name], names
        return None

    def _name_follows(self, node: ast.Name, depth: int) -> bool | None:
        if depth > _DEEP:
            return None
        if self.source.parent(node) is None:
            return False
        bindings = self.names.bindings(node.id, node)
        if not bindings:
            return node.id in KIT_FIXTURES
        answers = set()
        for binding in bindings:
            if binding.is_parameter:
                answers.add(node.id in KIT_FIXTURES or self._parameter_follows(node, depth))
            elif binding.value is None:
                answers.add(False)
            else:
                answers.add(self.follows_the_kit(binding.value, depth + 1))
        if True in answers:
            return True
        return None if None in answers else False

    def _parameter_follows(self, node: ast.Name, depth: int) -> bool | None:
        function = self.source.function_of(node)
        is_given_by_pytest = function in self.tests or self.is_fixture(function)
        return self._fixture_follows(node.id, depth) if is_given_by_pytest else None

    def _fixture_follows(self, name: str, depth: int) -> bool | None:
        if name in KIT_FIXTURES:
            return True
        found = self.fixture(name)
        if found is None or depth > _DEEP:
            return None
        function, _ = found
        arguments = [*function.args.args, *function.args.kwonlyargs]
        asked = {each.arg for each in arguments} - {name, "self", "request"}
        answers = {self._fixture_follows(each, depth + 1) for each in asked}
        if True in answers:
            return True
        return None if None in answers else False

    def _is_test(self, function: Function) -> bool:
        if not function.name.startswith("test"):
            return False
        parent = self.source.parent(function)
        if isinstance(parent, ast.ClassDef):
            bases = [spelt(base).rpartition(".")[2] for base in parent.bases]
            return parent.name.startswith("Test") or any(
                base.endswith("TestCase") for base in bases
            )
        return self.source.function_of(function) is None


def is_from_sqlalchemy(dotted: str | None, names: set[str]) -> bool:
    """Whether *dotted* is one of SQLAlchemy's own *names*."""
    if not dotted:
        return False
    library, _, _ = dotted.partition(".")
    return library in LIBRARIES and dotted.rpartition(".")[2] in names


def uses_sqlalchemy(names: Names | None) -> bool:
    """Whether the file of *names* imports SQLAlchemy, or what is built on it."""
    return names is not None and any(
        dotted.partition(".")[0] in LIBRARIES for _, _, dotted in names.imports()
    )
