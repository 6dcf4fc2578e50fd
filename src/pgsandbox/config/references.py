"""Turns the references in the settings into the objects that they name."""

from __future__ import annotations

import contextlib
import difflib
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from pgsandbox.config import kinds
from pgsandbox.errors import ConfigurationError, Fact, PgSandboxError
from pgsandbox.guard import masked


def resolve(reference: str) -> object:
    """Return the object that ``package.module:name`` names; the name may have dots in it.

    Imports the module as Python does, from ``sys.path`` as it is. Raises ConfigurationError if
    there is no such module, if it has no such name, or if importing it fails; the failure is
    chained. An error of pgsandbox itself, such as a connection that the guard refused, comes as it
    is.
    """
    try:
        kinds.reference(reference)
    except kinds.Refused as refused:
        raise ConfigurationError(
            f'"{masked(reference)}" {refused}.',
            remedy='Write the module, a colon, and the name in it, as in "myapp.database:db".',
        ) from None
    module_name, _, names = reference.partition(":")
    found: object = _import(module_name, reference)
    path = module_name
    for name in names.split("."):
        with failures_told(  # of a property, or of the module's __getattr__
            f'"{path}" has "{name}", and reading it failed.',
            Fact("reference", reference),
            remedy="Name something that can be read before any test.",
        ):
            try:
                found = getattr(found, name)
            except AttributeError as error:
                raise _no_such_name(reference, path, name, found) from error
        path = f"{path}:{name}" if ":" not in path else f"{path}.{name}"
    return found


def imported(module_name: str) -> ModuleType:
    """Return the module of this name, imported as Python does.

    Raises ConfigurationError if there is none, or if importing it fails; the failure is chained.
    """
    return _import(module_name, module_name)


@contextlib.contextmanager
def failures_told(headline: str, *facts: Fact, remedy: str) -> Iterator[None]:
    """Let what the project's code raises in the block come as one ConfigurationError.

    The failure is chained, and told without passwords. An error of pgsandbox itself, such as a
    connection that the guard refused, comes as it is.
    """
    try:
        yield
    except PgSandboxError:
        raise
    except (Exception, SystemExit) as error:
        said = masked(f"{type(error).__name__}: {error}")
        raise ConfigurationError(
            headline, facts=[*facts, Fact("error", said)], remedy=remedy
        ) from error


def _import(module_name: str, reference: str) -> ModuleType:
    with failures_told(
        f'Importing "{module_name}" for "{reference}" failed.',
        Fact("reference", reference),
        remedy=f'See it alone with: python -c "import {module_name}"',
    ):
        try:
            return importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name and f"{module_name}.".startswith(f"{error.name}."):
                raise _no_such_module(reference, error.name) from error
            raise


def _no_such_module(reference: str, missing: str) -> ConfigurationError:
    return ConfigurationError(
        f'There is no module "{missing}" to import "{reference}" from.',
        facts=[Fact("reference", reference), Fact("missing", missing)],
        remedy="Correct the name, install the project into this environment, or put its source "
        f'directory on the path: pythonpath = ["{_place_of(missing)}"] in '
        "[tool.pytest.ini_options].",
    )


def _place_of(module: str) -> str:
    """Return the folder that has *module*, as far as one of the usual ones does."""
    name = module.partition(".")[0]
    for place in (".", "src"):
        if Path(place, name).is_dir() or Path(place, f"{name}.py").is_file():
            return place
    return "src"


def _no_such_name(reference: str, path: str, name: str, owner: object) -> ConfigurationError:
    near = difflib.get_close_matches(name, dir(owner), n=1)
    return ConfigurationError(
        f'"{path}" has no "{name}"' + (f'; did you mean "{near[0]}"?' if near else "."),
        facts=[Fact("reference", reference), Fact("missing", name)],
        remedy="Correct the name after the colon.",
    )
