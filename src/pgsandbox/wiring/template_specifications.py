"""How a template of this run is made, and the name under which others find it.

A template of a single run has an address that nobody else has: what changes between two runs can't
matter. One that lasts is addressed by everything that its result depends on (`fingerprint_of`).
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pgsandbox import __version__, databases, schema
from pgsandbox.config import Settings
from pgsandbox.config.settings import TEST_DATABASE_URL
from pgsandbox.errors import PgSandboxError
from pgsandbox.schema import tracing
from pgsandbox.schema.fingerprint import (
    Fingerprint,
    distributions,
    loaded_files,
    project_files,
)


@dataclass
class RunTemplate:
    """A template for the processes of one run, which goes with the last of them."""

    name: str
    owner: str
    fill: Callable[[str], None]
    """Builds the schema in the database of this name."""
    origin: str | None = None
    lasts: bool = field(default=False, init=False)

    def build(self, name: str) -> str | None:
        """Build the schema, unless it came with the copy."""
        if self.origin is None:
            self.fill(name)
        return None

    def is_current(self, inputs: str) -> bool:
        """Nobody else knows the address."""
        return True


@dataclass
class LastingTemplate:
    """A template for this run and later ones, found by its fingerprint."""

    name: str
    owner: str
    fill: Callable[[str], None]
    """Builds the schema in the database of this name."""
    fingerprint: str
    root: Path
    addresses: tuple[object, ...] = ()
    """Where Python code may connect to while it builds: the server."""
    origin: str | None = field(default=None, init=False)
    lasts: bool = field(default=True, init=False)
    obstacles: list[str] = field(default_factory=list, init=False)
    """Why what was built can't be used again."""

    def build(self, name: str) -> str | None:
        """Build the schema, and return what was read for it, unless that can't be read again."""
        with tracing.Trace(self.root, addresses=self.addresses) as trace:
            self.fill(name)
        self.obstacles = trace.obstacles
        return None if trace.obstacles else tracing.encode(self.fingerprint, trace.inputs())

    def is_current(self, inputs: str) -> bool:
        """Whether all that was read for the template is as it was then."""
        return tracing.is_current(inputs, self.fingerprint, self.root)


def fingerprint_of(
    builder: schema.Builder,
    settings: Settings,
    server: databases.Server,
    *,
    version: str = __version__,
    environ: Mapping[str, str] | None = None,
) -> str:
    """Return the digest of everything that the result of *builder* depends on, on *server*."""
    fingerprint = Fingerprint()
    fingerprint.add("pgsandbox", version)
    fingerprint.add("python", sys.version)
    fingerprint.add("distributions", "\n".join(distributions(sys.path)))
    fingerprint.add("settings", (settings.schema, settings.seed, settings.metadata, settings.app))
    with databases.administration(server) as connection:
        for name, value in databases.circumstances(connection):
            fingerprint.add(f"server {name}", value)
    for name, value in builder.describe():
        fingerprint.add(f"schema {name}", value)
    own = Path(schema.__file__).parent
    for file in (*builder.files(), *project_files(settings.root), *loaded_files(settings.root)):
        fingerprint.add_file(file, settings.root)
    for file in own.glob("*.py"):
        fingerprint.add_file(file, own)
    fingerprint.add_environment(
        os.environ if environ is None else environ, but=(*settings.child_env, TEST_DATABASE_URL)
    )
    return fingerprint.hexdigest()


class Templates:
    """The templates of this run."""

    def __init__(self, settings: Settings, server: databases.Server, leases: databases.Leases):
        self.notes: list[str] = []
        """What people should know who asked that templates last."""
        self._settings = settings
        self._server = server
        self._leases = leases
        self._held: list[databases.Template] = []

    def of_the_run(
        self, run: str, application: str, fill: Callable[[str], None], origin: str | None = None
    ) -> databases.Template | None:
        """Return the template that the processes of *run* share; *origin* is one to copy."""
        address = hashlib.sha256(run.encode()).hexdigest()
        name = databases.template_name(application, address)
        return self._obtain(RunTemplate(name, str(self._settings.root), fill, origin))

    def lasting(
        self,
        builder: schema.Builder,
        application: str,
        fill: Callable[[str], None],
        addresses: tuple[object, ...],
    ) -> databases.Template | None:
        """Return the template that earlier runs have left, or that later ones will find."""
        fingerprint = fingerprint_of(builder, self._settings, self._server)
        name = databases.template_name(application, fingerprint)
        root = self._settings.root
        specification = LastingTemplate(name, str(root), fill, fingerprint, root, addresses)
        template = self._obtain(specification)
        if specification.obstacles:
            why = specification.obstacles[0]
            self.notes.append(
                f"{name} is not kept for later runs: while it was built, {why}, "
                "and what that gave can't be compared"
            )
        return template

    def _obtain(self, specification: databases.TemplateSpecification) -> databases.Template | None:
        template = databases.obtain(self._server, self._leases, specification)
        if template is not None:
            self._held.append(template)
        return template

    def release(self) -> list[PgSandboxError]:
        """Give all templates up, and return what went wrong."""
        problems = []
        for template in self._held:
            try:
                databases.release(self._server, self._leases, template)
            except PgSandboxError as error:
                problems.append(error)
        self._held.clear()
        return problems
