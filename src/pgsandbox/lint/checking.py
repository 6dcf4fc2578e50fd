"""From files to a report: each file is read once, shown to every rule, and its comments heard."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pgsandbox.lint.application_sources import ApplicationSources, module_name
from pgsandbox.lint.checks import (
    administration,
    asserting,
    cleaning,
    created_engines,
    factories,
    keys,
    mocks,
    production,
    waiting,
)
from pgsandbox.lint.context import Context, Found
from pgsandbox.lint.files import files_below
from pgsandbox.lint.ignores import Ignore, ignores_in
from pgsandbox.lint.names import Names
from pgsandbox.lint.rules import BY_CODE
from pgsandbox.lint.source import Source, Unreadable, read
from pgsandbox.reports import Finding, Report, in_order

_EVERYWHERE = (production, created_engines, cleaning, administration)
_CHECKS = (*_EVERYWHERE, mocks, waiting, factories, keys, asserting)

_PYTHON = f"Python {sys.version_info.major}.{sys.version_info.minor}"
_OF_ABOVE = {
    "PGS001",
    "PGS002",
    "PGS003",
    "PGS101",
    "PGS102",
    "PGS104",
    "PGS105",
    "PGS106",
    "PGS107",
}
"""What is looked for in a conftest.py above the paths: unit tests share it, and may mock."""


@dataclass(frozen=True)
class Project:
    """What is looked at, and what the project's settings say of it."""

    root: Path
    """Where the project's pyproject.toml stands; findings name files from here."""
    paths: tuple[Path, ...] = ()
    """Files and folders that hold tests and what belongs to them, all of which is read."""
    given: tuple[Path, ...] = ()
    """Folders that hold other things besides: only test modules and conftest.py files are read."""
    sources: tuple[Path, ...] = ()
    """The folders that the application's packages stand in; root and its src are known."""
    forbidden: tuple[str, ...] = ()
    """The dotted names that tests may not import."""
    redirect: bool = False
    """Whether the application's own engines lead to the test database."""
    with_conftests_above: bool = False
    """Whether each conftest.py between root and the paths is read, too."""


@dataclass(frozen=True)
class _Checked:
    """What became of one file."""

    findings: tuple[Finding, ...]
    ignored: int


def check(project: Project) -> Report:
    """Return what the rules find in the tests of *project*.

    A file that cannot be read is a finding and stops nothing.
    """
    folders = [*project.sources, project.root, project.root / "src"]
    application = ApplicationSources(project.root, folders)
    files = [
        *files_below(project.paths),
        *(file for file in files_below(project.given) if _is_wanted(file, project, application)),
    ]
    above = _conftests_above(project) if project.with_conftests_above else []
    checked = [_checked(file, project, application, is_above=False) for file in files]
    checked += [
        _checked(file, project, application, is_above=True) for file in above if file not in files
    ]
    findings = in_order(finding for each in checked for finding in each.findings)
    ignored = sum(each.ignored for each in checked)
    return Report(findings, _summary(len(checked), len(findings), ignored))


def _checked(
    file: Path, project: Project, application: ApplicationSources, *, is_above: bool
) -> _Checked:
    shown = _shown(file, project.root)
    try:
        source = read(file)
    except Unreadable as error:
        message = f"{_PYTHON} cannot read the file: {error.why}"
        found = _finding("PGS001", message, shown, error.line, error.column)
        return _Checked((found,), 0)
    names = Names(source, module_name(file), is_package=file.name == "__init__.py")
    context = Context(source, names, application, project.forbidden, project.redirect)
    found_here = [each for check in _CHECKS for each in check.check(context)]
    if is_above:
        found_here = [each for each in found_here if each.code in _OF_ABOVE]
    return _heard(source, found_here, shown)


def _heard(source: Source, found: Sequence[Found], shown: str) -> _Checked:
    ignores = ignores_in(source)
    kept: list[Finding] = []
    used: set[tuple[Ignore, str]] = set()
    for each in found:
        first, last = _lines_of(source, each.node)
        heard = [
            (ignore, each.code)
            for ignore in ignores
            if each.code in ignore.codes and ignore.covers(first, last)
        ]
        used.update(heard)
        if not heard:
            line, column = source.place(each.node)
            found_there = _finding(each.code, each.message, shown, line, column)
            kept.append(replace(found_there, remedy=each.remedy or found_there.remedy))
    for ignore in ignores:
        kept.extend(_about(ignore, {code for by, code in used if by == ignore}, shown))
    return _Checked(tuple(kept), len(found) - sum(1 for each in kept if each.code[3] != "0"))


def _about(ignore: Ignore, used: set[str], shown: str) -> Iterator[Finding]:
    at = shown, ignore.line, ignore.column
    if not ignore.codes:
        yield _finding("PGS002", "the comment names no rule, and suppresses nothing", *at)
    elif not ignore.reason:
        yield _finding("PGS002", f"no reason to ignore {', '.join(ignore.codes)} is given", *at)
    for code in ignore.codes:
        if code not in BY_CODE:
            yield _finding("PGS003", f"there is no rule {code}", *at)
        elif code not in used:
            yield _finding("PGS003", f"nothing here breaks {code}", *at)


def _lines_of(source: Source, node: ast.AST) -> tuple[int, int]:
    """Return the first and the last line of the statement that *node* belongs to."""
    statement = node
    for each in source.around(node):
        if isinstance(statement, ast.stmt):
            break
        statement = each
    first = getattr(statement, "lineno", 1)
    last: int = getattr(statement, "end_lineno", first) or first
    decorators = getattr(statement, "decorator_list", [])
    if decorators:
        first = min(decorator.lineno for decorator in decorators)
    body = getattr(statement, "body", None)
    if body:
        # Of a function or a block, the head: what stands in its body is another matter.
        last = max(getattr(statement, "lineno", first), body[0].lineno - 1)
    return first, last


def _is_wanted(file: Path, project: Project, application: ApplicationSources) -> bool:
    return file in project.given or application.is_test(file)


def _conftests_above(project: Project) -> list[Path]:
    folders = {
        folder
        for path in project.paths
        for folder in path.parents
        if folder.is_relative_to(project.root)
    }
    return sorted(file for folder in folders if (file := folder / "conftest.py").is_file())


def _finding(code: str, message: str, path: str, line: int, column: int) -> Finding:
    rule = BY_CODE[code]
    return Finding(
        code, message, path=path, line=line, column=column, remedy=rule.instead, page=rule.page
    )


def _shown(file: Path, root: Path) -> str:
    return (file.relative_to(root) if file.is_relative_to(root) else file).as_posix()


def _summary(files: int, findings: int, ignored: int) -> str:
    said = [_counted(files, "file"), _counted(findings, "finding")]
    if ignored:
        said.append(f"{ignored} ignored with a comment")
    return ", ".join(said)


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
