"""What maps tables: declarative bases, Flask-SQLAlchemy objects, MetaData, and their modules."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pgsandbox.cli.init.places import files_below, module_of
from pgsandbox.lint.application_sources import ApplicationSources, Definition
from pgsandbox.lint.names import Names, spelt
from pgsandbox.lint.source import Source

_MAKERS = {"Alchemical", "MetaData", "SQLAlchemy", "automap_base", "declarative_base"}
_OF_LIBRARIES = {"alchemical.Model", "alchemical.aio.Model", "sqlmodel.SQLModel"}
"""Bases with a MetaData that no module of the project makes."""
_DEEP = 8
_FEW = 3
"""How many references are still readable."""


@dataclass(frozen=True)
class Module:
    """One module of the application."""

    name: str
    """Its dotted name."""
    path: Path
    """Its file."""
    names: Names
    """What its names stand for."""

    @property
    def source(self) -> Source:
        """Its text and tree."""
        return self.names.source


@dataclass(frozen=True)
class Owner:
    """What has a ``metadata``, or is one."""

    dotted: str
    """Its name where it is made."""
    kind: str
    """What it is, in the words of its library."""
    path: Path | None = None
    """The file that makes it; None where a library does, as with SQLModel."""
    line: int = 0
    """The line in it."""


class Sources:
    """The application's modules, read and not imported."""

    def __init__(self, root: Path, start: Path) -> None:
        self.root = root
        self.start = start
        self.application = ApplicationSources(root, [start])
        self.modules: dict[str, Module] = {}
        self._owners_in: dict[str, set[Owner]] = {}
        self._takes_bases_of_packages = False
        for file in files_below(start):
            name = module_of(file, start)
            if name and not self.application.is_test(file) and "versions" not in file.parts:
                names = self.application.names_of(file)
                if names is not None:
                    self.modules[name] = Module(name, file, names)

    def definition(self, module: Module, node: ast.expr) -> Definition | None:
        """Return what *node* in *module* stands for, followed to where it is made."""
        dotted = module.names.dotted(node)
        if dotted:
            return self.application.definition(dotted, module.path)
        root, *rest = spelt(node).split(".")
        for binding in module.names.of_module.get(root, []):
            if binding.value is not None:
                return Definition(
                    f"{module.name}.{root}", tuple(rest), module.path, binding.value, module.names
                )
        return None

    @cached_property
    def owners(self) -> Counter[Owner]:
        """What tables belong to, with how many modules define some of it.

        A class of another package counts where there is nothing else: it may be a mixin.
        """
        found = self._counted()
        if not found:
            self._takes_bases_of_packages = True
            self._owners_in.clear()
            found = self._counted()
        return found

    def _counted(self) -> Counter[Owner]:
        found: Counter[Owner] = Counter()
        for module in self.modules.values():
            found.update(self.owners_in(module))
        return found

    def owners_in(self, module: Module) -> set[Owner]:
        """Return what the tables that *module* defines belong to."""
        if module.name not in self._owners_in:
            self._owners_in[module.name] = self._owners_of(module)
        return self._owners_in[module.name]

    def _owners_of(self, module: Module) -> set[Owner]:
        found: set[Owner | None] = set()
        for node in module.source.of(ast.ClassDef):
            if _maps(node):
                found |= {self._owner_behind(module, base) for base in node.bases}
        for call in module.source.of(ast.Call):
            if spelt(call.func).rpartition(".")[2] == "Table" and len(call.args) > 1:
                found.add(self._owner_behind(module, call.args[1]))
        return {each for each in found if each is not None}

    def modules_of(self, owner: Owner) -> list[str]:
        """Return the modules that define tables of *owner*."""
        return [name for name, each in self.modules.items() if owner in self.owners_in(each)]

    def closure(self, name: str, *, later: bool = False) -> set[str]:
        """Return the modules that importing the module *name* imports, itself among them.

        With *later* what its functions import, too.
        """
        found: set[str] = set()
        waiting = [name]
        while waiting:
            each = waiting.pop()
            parts = each.split(".")
            for end in range(len(parts), 0, -1):
                module = ".".join(parts[:end])
                if module in self.modules and module not in found:
                    found.add(module)
                    waiting.extend(_imports(self.modules[module], later=later))
        return found

    def name_of(self, owner: Owner, module: Module) -> str | None:
        """Return the name that *owner* has in *module*, or one of a model, if one is there."""
        inherits = None
        unbound = _of_type_checkers(module)
        for name in module.names.of_module:
            if name in unbound:
                continue
            found = self._found(module, ast.Name(name, ast.Load()), name)
            if found is not None and found.dotted == owner.dotted and not found.rest:
                return name
            if inherits is None and found is not None and isinstance(found.node, ast.ClassDef):
                behind = self._owner_behind(module, ast.Name(name, ast.Load()), name)
                inherits = name if behind == owner else None
        return inherits

    def _owner_behind(
        self, module: Module, node: ast.expr, name: str = "", depth: int = 0
    ) -> Owner | None:
        """Return what *node* stands for, or inherits from, that has a MetaData."""
        found = self._found(module, node, name) if depth <= _DEEP else None
        if found is None:
            return None
        if found.path is None or found.names is None:
            return self._owner_of_a_library(found.dotted)
        made = found.node.value if isinstance(found.node, ast.Await) else found.node
        if isinstance(made, ast.Call):
            kind = spelt(made.func).rpartition(".")[2]
            is_owner = kind in _MAKERS
            return Owner(found.dotted, kind, found.path, made.lineno) if is_owner else None
        if isinstance(made, ast.ClassDef):
            return self._owner_of_class(self._module_at(found, module), made, found, depth)
        return None

    def _owner_of_a_library(self, dotted: str) -> Owner | None:
        if dotted in _OF_LIBRARIES:
            return Owner(dotted, dotted.rpartition(".")[2])
        package = dotted.partition(".")[0]
        is_base = package not in {*sys.stdlib_module_names, "sqlalchemy"}
        if self._takes_bases_of_packages and is_base:
            return Owner(package, f"bases of {package}")
        return None

    def _owner_of_class(
        self, module: Module, made: ast.ClassDef, found: Definition, depth: int
    ) -> Owner | None:
        named = {spelt(base).rpartition(".")[2] for base in made.bases}
        if "DeclarativeBase" in named or "DeclarativeBaseNoMeta" in named:
            return Owner(found.dotted, "declarative base", found.path, made.lineno)
        if "Model" in named and not found.rest and not _maps(made):
            dotted = [module.names.dotted(base) or "" for base in made.bases]
            if any(each.startswith(("alchemical", "flask_sqlalchemy")) for each in dotted):
                return Owner(found.dotted, "declarative base", found.path, made.lineno)
        for base in made.bases:
            owner = self._owner_behind(module, base, depth=depth + 1)
            if owner is not None:
                return owner
        return None

    def _found(self, module: Module, node: ast.expr, name: str) -> Definition | None:
        if not name:
            return self.definition(module, node)
        for binding in module.names.of_module.get(name, []):
            if binding.dotted:
                return self.application.definition(binding.dotted, module.path)
            if isinstance(binding.value, ast.Name | ast.Attribute):
                return self.definition(module, binding.value)
            if binding.value is not None:
                dotted = f"{module.name}.{name}"
                return Definition(dotted, (), module.path, binding.value, module.names)
        return None

    def _module_at(self, found: Definition, module: Module) -> Module:
        if found.path is None or found.names is None or found.path == module.path:
            return module
        name = module_of(found.path, self.start) or found.names.module
        return Module(name, found.path, found.names)


def _maps(node: ast.ClassDef) -> bool:
    """Whether the class has a table of its own, as far as can be seen from here."""
    if any(keyword.arg == "table" for keyword in node.keywords):
        return True
    if any(spelt(base).endswith(".Model") for base in node.bases):
        return True
    for statement in node.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="__tablename__" | "__table__")]):
                return True
            case ast.AnnAssign(target=ast.Name(id="__tablename__" | "__table__")):
                return True
            case ast.Assign(value=ast.Call() as call) | ast.AnnAssign(value=ast.Call() as call):
                if spelt(call.func).rpartition(".")[2] in ("Column", "mapped_column"):
                    return True
    return False


def _imports(module: Module, *, later: bool) -> list[str]:
    """Return what importing *module* imports, and with *later* what its functions do then."""
    found = []
    for statement, _, dotted in module.names.imports():
        is_later = not later and module.source.function_of(statement) is not None
        if not is_later and not module.source.is_for_type_checkers(statement):
            found.append(dotted)
            if isinstance(statement, ast.Import):
                continue
    return [*found, *module.names.stars]


def _of_type_checkers(module: Module) -> set[str]:
    """Return the names that importing *module* does not bind: type checkers alone see them."""
    found = set()
    for statement, alias, _ in module.names.imports():
        name = alias.asname or alias.name
        is_only_place = len(module.names.of_module.get(name, [])) == 1
        if is_only_place and module.source.is_for_type_checkers(statement):
            found.add(name)
    return found


def metadata_references(sources: Sources) -> tuple[Owner | None, list[str], list[str]]:
    """Return the owner of the tables, the references to it, and the modules that define tables.

    One reference where importing one module imports every model; else as few as do together.
    """
    if not sources.owners:
        return None, [], []
    owner = max(sources.owners, key=lambda each: (sources.owners[each], each.dotted))
    wanted = set(sources.modules_of(owner))
    named = {
        module.name: name
        for module in sources.modules.values()
        if (name := sources.name_of(owner, module))
        and "alembic" not in module.name.split(".")
        and not module.name.endswith("env")
    }
    # The modules that define models import little besides; one that imports the whole
    # application is taken where they would be many.
    chosen = _covering(sources, {each: named[each] for each in named if each in wanted}, wanted)
    if len(chosen) > _FEW or not chosen:
        own = owner.dotted.rpartition(".")[2]
        exact = {module: name for module, name in named.items() if name == own}
        ways = (chosen, _covering(sources, exact, wanted), _covering(sources, named, wanted))
        whole = [each for each in ways if _reached(sources, each) >= wanted]
        chosen = min(whole or ways, key=lambda each: len(each) or len(wanted) + 1)
    return owner, chosen, sorted(wanted)


def _reached(sources: Sources, references: Iterable[str]) -> set[str]:
    """Return the modules that importing *references* imports."""
    return set().union(*(sources.closure(each.partition(":")[0]) for each in references))


def _covering(sources: Sources, named: dict[str, str], wanted: set[str]) -> list[str]:
    """Return as few references out of *named* as import all *wanted* modules, or all they can."""
    reached = {module: sources.closure(module) & wanted for module in named}
    chosen: list[str] = []
    left = set(wanted)
    while left:
        best = min(
            reached,
            key=lambda module: (-len(reached[module] & left), module not in wanted, len(module)),
            default=None,
        )
        if best is None or not reached[best] & left:
            break
        chosen.append(f"{best}:{named[best]}")
        left -= reached[best]
    return chosen
