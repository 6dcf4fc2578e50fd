"""What one process of a test run has of PostgreSQL: a server, and databases behind endpoints."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from typing import Any

import psycopg2
from sqlalchemy.engine import URL

from pgsandbox import databases, schema, servers
from pgsandbox.config import Settings
from pgsandbox.databases.limits import Limits
from pgsandbox.errors import DatabaseError, Fact, PgSandboxError, SchemaNotBuilt
from pgsandbox.sandbox.driver_hooks import target_of_url as target_of
from pgsandbox.sandbox.endpoint.sessions import Late
from pgsandbox.sandbox.endpoint_process import EndpointProcess
from pgsandbox.sandbox.interceptor import ConnectionInterceptor
from pgsandbox.sandbox.running_test import RunningTest
from pgsandbox.sandbox.test_database import TestDatabase
from pgsandbox.schema.movable_clock import make_movable
from pgsandbox.wiring.application import Application, context_of, make_app
from pgsandbox.wiring.project import DEFAULT, Project, WantedDatabase
from pgsandbox.wiring.resolving import (
    addresses_of,
    driver_of,
    judge_of,
    place_of,
    require_one_meaning,
    require_tables,
    url_of,
)
from pgsandbox.wiring.run_clones import RunClones
from pgsandbox.wiring.run_databases import RunDatabase, endpoint_parameters
from pgsandbox.wiring.server_choice import choose_server
from pgsandbox.wiring.template_specifications import Templates
from pgsandbox.wiring.urls import without_escapes

_LINGERING = 600.0
"""Seconds for which an embedded server, and with it the templates, waits for the next run."""


class Run:
    """Everything that one process of a test run has of PostgreSQL."""

    def __init__(
        self, settings: Settings, *, worker: str | None = None, app: Application | None = None
    ) -> None:
        self.settings = settings
        self.project = Project(settings, app)
        self.worker = worker
        self.uid = secrets.token_hex(8)
        """What the processes of one run share and no other run has."""
        self.test = RunningTest()
        """The running test, where one is running."""
        self.judge = judge_of(settings, self.test)
        self.interceptor = ConnectionInterceptor(self.judge)
        self.run_databases: dict[str, RunDatabase] = {}
        """The test databases by the name of their bind; empty until `start`."""
        self.clones = RunClones(self.run_databases, self._make_pool)
        self._server: servers.Server | None = None
        self._held: databases.HeldServer | None = None
        """The same, administered over one connection while it is prepared, healed or cleared."""
        self._leases: databases.Leases | None = None
        self._templates: Templates | None = None
        self._environ: dict[str, str | None] = {}
        self._are_children_told = True
        """Whether the variables for child processes name where tests are now."""

    # -- the server ---------------------------------------------------------------------------

    def find_server(self) -> servers.Server:
        """Return the server of this run, found or started once.

        Raises:
            ServerError: there is no usable server; within 10 seconds.
            ConfigurationError: the environment leads drivers to another one.
            MayNotCreateDatabases: the role lacks CREATEDB.
        """
        if self._server is None:
            server = choose_server(self.settings, self.project.application_url)
            held = databases.HeldServer(server)
            try:
                with databases.administration(held) as connection:
                    databases.require_createdb(connection)
            except BaseException:
                held.close()
                server.release()
                raise
            self._server, self._held = server, held
            if self.worker is None:
                self.reap()
        return self._server

    def require_connections(self, processes: int) -> None:
        """Return if the server has connections enough for *processes* that run tests.

        Raises:
            TooFewConnections: the sum, with what each part of it comes from.
        """
        with databases.administration(self._held_server()) as connection:
            capacity = databases.capacity_of(connection)
        databases.require_enough(capacity, processes, 1 + len(self.settings.binds))

    def reap(self) -> None:
        """Drop what killed runs left on the server; what resists is left to a later run."""
        limits = Limits(lock=1.0, statement=5.0)
        with contextlib.suppress(PgSandboxError):
            databases.reap(self._held_server(), on_error=lambda _: None, limits=limits)

    def close_administration(self) -> None:
        """Close the connection for administration, until there is something to do again."""
        if self._held is not None:
            self._held.close()

    def _held_server(self) -> databases.HeldServer:
        self.find_server()
        assert self._held is not None
        return self._held

    # -- the databases ------------------------------------------------------------------------

    def start(self) -> None:
        """Create this run's databases and their schema; nothing if that is done already."""
        if self.run_databases:
            return
        server = self.find_server()
        self._leases = databases.Leases(server)
        self._templates = Templates(self.settings, self._held_server(), self._leases)
        try:
            for wanted in self.project.wanted():
                self.run_databases[wanted.name] = self._make(server, wanted)
            self._redirect()
            self._tell_children()
        except BaseException:
            self.stop()
            raise

    def heal(self) -> list[PgSandboxError]:
        """Recreate every database that a test may have changed for real, or that crashed under it.

        Returns what a test is to be told whose server crashed, and which has not noticed.

        Raises:
            PgSandboxError: one can't be recreated.
        """
        found: list[PgSandboxError] = []
        for run_database in self.run_databases.values():
            database = run_database.database
            # A lease whose session has ended as well tells a crash from one session's end.
            if database.is_lost and not run_database.owned.lease.is_held():
                found += [] if database.has_told_loss else [database.crashed()]
                database.is_in_doubt = True
            if database.is_in_doubt:
                self._remake_for_sure(run_database)
        self.close_administration()
        if not self._are_children_told:
            self._tell_children()
        return found

    def clone(self) -> None:
        """Give the running test databases of its own, each a copy of the test database.

        Raises:
            DatabaseError: one could not be made; the others are dropped again.
        """
        self.test.use_clones(self.clones.take())
        self._tell_children()

    def drop_clones(self, *, keep: bool = False) -> list[URL]:
        """Drop the running test's own databases, or keep them; return the URLs of those kept."""
        if self.clones.taken:
            self._are_children_told = False  # `heal` tells them: now the endpoint may be lost
        return [self.find_server().url_of(each.name) for each in self.clones.drop(keep=keep)]

    def take_late(self, *, at_end: bool = False) -> list[Late]:
        """Return who went on after a test that was over, since this was asked last.

        *at_end* the endpoints are asked, too, which tell it with the end of each test otherwise.
        """
        for run_database in self.run_databases.values() if at_end else ():
            run_database.database.take_late()
        return self.test.take_late()

    @property
    def notes(self) -> list[str]:
        """What people should know about the templates of this run."""
        return self._templates.notes if self._templates is not None else []

    def _make_pool(self) -> databases.ClonePool:
        """Make the pool of clones, each of a template: nobody is ever connected to that."""
        assert self._leases is not None  # `start` has run
        return databases.ClonePool(
            self.find_server(),
            self._leases,
            [
                databases.CloneSource(self._template_of(each).name, f"{each.application}_clone")
                for each in self.run_databases.values()
            ],
            worker=self.worker,
            owner=str(self.settings.root),
        )

    def _template_of(self, run_database: RunDatabase) -> databases.Template:
        """Return its template, if need be by copying the database, which is as it was built."""
        if run_database.template is not None:
            return run_database.template
        assert self._templates is not None
        # PostgreSQL copies a database that nobody is connected to.
        run_database.database.disconnect()
        template = self._templates.of_the_run(
            f"{self.uid} {self.worker} {run_database.database.name}",
            run_database.application,
            lambda _: None,
            run_database.owned.name,
        )
        if template is None:
            raise DatabaseError(
                f'"{run_database.owned.name}" could not be copied.',
                remedy="Another database has the template's name. Start the run again.",
            )
        run_database.template = template
        self._open(run_database.database, run_database.owned)
        return template

    def stop(self) -> list[PgSandboxError]:
        """Drop this run's databases, or keep them if the settings say so; release the server.

        Returns what went wrong; never raises, and does nothing when repeated.
        """
        problems: list[PgSandboxError] = []
        run_databases = list(self.run_databases.values())
        self.run_databases.clear()
        self.test.databases.clear()
        problems.extend(self.clones.stop())
        problems.extend(self._end(run_databases))
        if self._templates is not None and self._leases is not None:
            problems.extend(self._templates.release())
            self._leases.close()
        self._templates = self._leases = None
        self.close_administration()
        server, self._server, self._held = self._server, None, None
        if server is not None:
            if self.settings.reuse and self.worker is None:
                server.linger(_LINGERING)
            server.release()
        for name, value in self._environ.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._environ = {}
        return problems

    def _end(self, run_databases: list[RunDatabase]) -> Iterator[PgSandboxError]:
        # DROP DATABASE waits a tenth of a second for a session that it has to end itself.
        for each in run_databases:
            each.database.begin_to_close()
        for each in run_databases:
            try:
                if self.settings.keep:
                    each.owned.keep()
                else:
                    each.owned.drop()
            except PgSandboxError as error:
                yield error
        # Not before: who closes waits for a statement that still runs, which DROP DATABASE ends.
        for each in run_databases:
            each.database.close()

    def url_of(self, name: str = DEFAULT) -> URL:
        """Return the URL of the test database on its server, or of a bind's, with its password.

        In a test with a database of its own it is that one's.
        """
        database = self.run_databases[name].database
        return database.clone.url if database.clone is not None else database.url

    def test_url(self, name: str = DEFAULT) -> URL:
        """Return the URL by which code under test joins the running test, in any process.

        It is that of the endpoint, or of the database that the test has of its own.
        """
        database = self.run_databases[name].database
        return database.clone.url if database.clone is not None else database.endpoint_url

    def tcp_url(self, name: str = DEFAULT) -> URL:
        """Return the same for programs that know no Unix sockets, with a password of this run."""
        database = self.run_databases[name].database
        if database.clone is not None:
            return database.clone.url.set(drivername="postgresql")
        return database.tcp_url()

    @contextlib.contextmanager
    def building(self, url: URL) -> Iterator[None]:
        """Send this thread's connections to *url*, for real, in the application's context."""
        with self.judge.building(url), context_of(self.project.app):
            yield

    def _make(self, server: servers.Server, wanted: WantedDatabase) -> RunDatabase:
        name, settings = wanted.name, self.settings
        builder = self.project.builder_of(wanted)
        driver = driver_of(wanted.url) if wanted.url is not None else "psycopg2"
        application = self.project.name_for(wanted)
        exact = self._exact_name() if name == DEFAULT else None
        endpoint = EndpointProcess()  # it starts while the database is made
        template = self._template_for(server, name, application, builder)
        owned = databases.claim(
            self._held_server(),
            application,
            exact=exact,
            worker=self.worker,
            owner=str(settings.root),
            template=template.name if template is not None else None,
            leases=self._leases,
        )
        test_url = server.url_of(owned.name, f"postgresql+{driver}")
        database = TestDatabase(
            name,
            test_url,
            target_of(test_url),
            restarts_sequences=settings.restart_sequences,
            observes=settings.coverage,
            moves_clock=settings.clock == "moving",
            endpoint=endpoint,
        )
        run_database = RunDatabase(database, owned, builder, application, template)
        try:
            if template is None:
                self._build(builder, owned.name)
            self._open(database, owned)
        except BaseException:
            database.close()
            with contextlib.suppress(PgSandboxError):  # the next run drops it: tell the first error
                owned.drop()
            raise
        self.test.databases.append(database)
        return run_database

    def _template_for(
        self, server: servers.Server, name: str, application: str, builder: schema.Builder
    ) -> databases.Template | None:
        """The template to copy, where copies are wanted: by later runs, or by other workers.

        A single process builds its one database directly, which is fastest.
        """
        assert self._templates is not None

        def fill(database: str) -> None:
            self._build(builder, database)

        if self.settings.reuse:
            return self._templates.lasting(builder, application, fill, addresses_of(server.url))
        if self.worker is not None:
            return self._templates.of_the_run(f"{self.uid} {name}", application, fill)
        return None

    def _build(self, builder: schema.Builder, database: str) -> None:
        url = self.find_server().url_of(database)
        with self.judge.building(url):
            try:
                make_app(lambda: self.project.app, builder, url)
                require_tables(self.settings, builder)
                require_one_meaning(self.settings, builder)
                with context_of(self.project.app):
                    builder.build(url)
            except SchemaNotBuilt as error:
                error.facts += (Fact("server", self.describe_server()),)
                raise

    def _open(self, database: TestDatabase, owned: databases.OwnedDatabase) -> None:
        """Let the endpoint open the database *owned*, with the clock that the settings want."""
        server = self.find_server()
        if self.settings.clock == "moving":
            with databases.administration(server, owned.name) as connection:
                make_movable(connection)
        with databases.administration(self._held_server()) as connection:
            database.open(endpoint_parameters(connection, server.url, owned))

    def _remake_for_sure(self, run_database: RunDatabase) -> None:
        """Recreate the database; in a crash of the server once more, and without its template.

        The locks of a run end with its sessions, so that another one may have dropped that.
        """
        has_crashed = not run_database.owned.lease.is_held()
        try:
            self._remake(run_database)
        except PgSandboxError:
            if not has_crashed and run_database.owned.lease.is_held():
                raise
            run_database.template = None
            self._remake(run_database)

    def _remake(self, run_database: RunDatabase) -> None:
        self._are_children_told = False
        run_database.database.disconnect()
        if run_database.template is not None:
            run_database.owned.recreate(run_database.template.name)
        else:
            run_database.owned.recreate()
            self._build(run_database.builder, run_database.owned.name)
        self._open(run_database.database, run_database.owned)

    def _redirect(self) -> None:
        if not self.settings.redirect:
            return
        for wanted in self.project.wanted():
            if wanted.url is not None:
                database = self.run_databases[wanted.name].database
                self.judge.redirected[target_of(wanted.url)] = database

    def _tell_children(self) -> None:
        self._are_children_told = True
        for name in self.settings.child_env:
            self._environ.setdefault(name, os.environ.get(name))
            os.environ[name] = without_escapes(
                self.test_url().render_as_string(hide_password=False)
            )

    def _exact_name(self) -> str | None:
        if self.settings.test_database_url is None or self.settings.server == "embedded":
            return None
        return url_of(self.settings.test_database_url, "TEST_DATABASE_URL").database

    def unseen(self, run_database: RunDatabase) -> str | None:
        """Return what to tell of a failing test if other processes looked for its rows."""

        def ask(query: str) -> Any:
            with databases.administration(self.find_server()) as connection:
                cursor = connection.cursor()
                cursor.execute(query)
                return (cursor.fetchone() or (0,))[0]

        with contextlib.suppress(PgSandboxError, psycopg2.Error):
            return run_database.database.unseen(ask)
        return None

    # -- words --------------------------------------------------------------------------------

    @property
    def has_server(self) -> bool:
        """Whether the server is found."""
        return self._server is not None

    @property
    def is_started(self) -> bool:
        """Whether the databases are there."""
        return bool(self.run_databases)

    @property
    def is_used(self) -> bool:
        """Whether the test that is over has sent a statement to one of the databases."""
        return any(run_database.database.was_used for run_database in self.run_databases.values())

    def describe_server(self) -> str:
        """Return one line: the server, its version, why it was chosen."""
        server = self.find_server()
        where = "embedded" if server.kind == "embedded" else place_of(server.url)
        return f"PostgreSQL {server.version_text}, {where} ({server.reason})"

    def describe_databases(self) -> str:
        """Return the names of this run's databases, each with the names that were not free."""
        return ", ".join(run_database.description for run_database in self.run_databases.values())


@contextlib.contextmanager
def started(settings: Settings, app: Application | None = None) -> Iterator[Run]:
    """Give a run that is started, and stop it at the end of the block."""
    run = Run(settings, app=app)
    run.interceptor.install()
    try:
        run.start()
        run.close_administration()
        yield run
    finally:
        run.stop()
        run.interceptor.remove()
