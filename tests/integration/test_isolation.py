"""No test sees what another one did, in whatever order they run and however it was committed.

Each test here runs twice and does both times what only the first could do, if anything stayed: it
looks that nothing is there, and then writes the same unique path or makes the same table. Whichever
of the two runs second would fail.
"""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine, func, inspect, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from claude_headspace import create_app
from claude_headspace.database import db
from claude_headspace.models import Event, Project
from claude_headspace.services.event_writer import EventWriter, NewEvent
from tests.integration.factories import ProjectFactory

# --8<-- [start:twice]
twice = pytest.mark.parametrize("run", ["once", "again"])

PROJECTS = "select count(*) from projects"
INSERT = "INSERT INTO projects (name, path, created_at) VALUES ('one', '/srv/one', now())"
# --8<-- [end:twice]


# --- two tests that would collide -----------------------------------------------------------------


# --8<-- [start:pair]
def test_one_test_commits_a_project(db_session, pg):
    """It sees its own project, and nobody else does."""
    ProjectFactory(path="/srv/shared")
    db_session.commit()

    assert db_session.scalar(select(func.count(Project.id))) == 1
    assert pg.outside("select count(*) from projects") == 0


def test_another_test_commits_a_project_of_the_same_path(db_session, pg):
    """The path is unique, so this fails after the one above, or that one after this, if either
    left its project behind.
    """
    ProjectFactory(path="/srv/shared")
    db_session.commit()

    assert db_session.scalar(select(func.count(Project.id))) == 1
    assert pg.outside("select count(*) from projects") == 0


# --8<-- [end:pair]


# --- sessions -------------------------------------------------------------------------------------


def by_a_session(engine):
    """As code under test does that makes a session of its own, and commits twice."""
    with Session(engine) as session:
        session.add(Project(name="one", path="/srv/one"))
        session.commit()
        session.add(Project(name="two", path="/srv/two"))
        session.commit()


def by_a_scoped_session(engine):
    """One session per thread, as many applications have it."""
    sessions = scoped_session(sessionmaker(engine))
    sessions.add_all([Project(name=name, path=f"/srv/{name}") for name in ("one", "two")])
    sessions.commit()
    sessions.remove()


def by_flask_sqlalchemy(engine):
    """``db.session`` of an application context that the test pushes itself."""
    app = create_app(SQLALCHEMY_DATABASE_URI=engine.url)
    with app.app_context():
        db.session.add_all([Project(name=name, path=f"/srv/{name}") for name in ("one", "two")])
        db.session.commit()


def by_core(engine):
    """Statements of its own on a connection."""
    with engine.connect() as connection:
        connection.execute(text(INSERT))
        connection.commit()
        connection.execute(text(INSERT.replace("one", "two")))
        connection.commit()


def by_another_engine(engine):
    """One that is made while the test runs."""
    another = create_engine(engine.url, isolation_level="AUTOCOMMIT", pool_pre_ping=True)
    with another.connect() as connection:
        connection.execute(text(INSERT))
        connection.execute(text(INSERT.replace("one", "two")))
    another.dispose()


@twice
@pytest.mark.parametrize(
    "commit",
    [by_a_session, by_a_scoped_session, by_flask_sqlalchemy, by_core, by_another_engine],
)
def test_what_the_code_under_test_commits(run, commit, db_engine, db_session, pg):
    """However it does, the test sees two projects, and nobody else any."""
    assert db_session.scalar(select(func.count(Project.id))) == 0
    commit(db_engine)

    assert db_session.scalar(select(func.count(Project.id))) == 2
    assert pg.outside(PROJECTS) == 0


# --8<-- [start:client]
@twice
def test_what_a_request_commits(run, client, db_session, pg):
    """201 says that the path was new, each time."""
    response = client.post("/api/projects", json={"path": "/srv/one"})

    assert response.status_code == 201
    assert db_session.scalar(select(Project.path)) == "/srv/one"
    assert pg.outside("select count(*) from projects") == 0


# --8<-- [end:client]


# --- engines and connections ----------------------------------------------------------------------


# --8<-- [start:own_engine]
@twice
def test_what_an_engine_of_its_own_commits(run, pg, db_session):
    """The event writer makes an engine for itself, and commits without asking anybody."""
    assert db_session.scalar(select(func.count(Event.id))) == 0
    writer = EventWriter(pg.url)
    writer.write(NewEvent("notification_sent", {"text": "The tests are green"}))

    assert db_session.scalar(select(func.count(Event.id))) == 1
    assert pg.outside("select count(*) from events") == 0


# --8<-- [end:own_engine]


# --8<-- [start:raw_connection]
@twice
def test_what_a_raw_connection_commits(run, db_engine, db_session, pg):
    """The driver's own connection, past everything that SQLAlchemy knows of transactions."""
    assert db_session.scalar(select(func.count(Project.id))) == 0
    connection = db_engine.raw_connection()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO projects (name, path, created_at) VALUES (%s, %s, now())",
            ("one", "/srv/one"),
        )
    connection.commit()
    connection.close()

    assert db_session.scalar(select(Project.path)) == "/srv/one"
    assert pg.outside("select count(*) from projects") == 0


# --8<-- [end:raw_connection]


# --8<-- [start:autocommit]
@twice
def test_what_autocommit_commits(run, db_engine, db_session, pg):
    """Each statement stands by itself, also when the next one fails."""
    assert db_session.scalar(select(func.count(Project.id))) == 0
    engine = db_engine.execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(INSERT))
        with pytest.raises(IntegrityError):
            connection.execute(text(INSERT))

    assert db_session.scalar(select(func.count(Project.id))) == 1
    assert pg.outside(PROJECTS) == 0


# --8<-- [end:autocommit]


# --- DDL, threads, sequences of them --------------------------------------------------------------


# --8<-- [start:ddl]
@twice
def test_what_ddl_changes(run, db_engine, db_connection, pg):
    """A table made, another one changed: PostgreSQL rolls both back."""
    with db_engine.begin() as connection:
        connection.execute(text("CREATE TABLE notes (id integer PRIMARY KEY)"))
        connection.execute(text("ALTER TABLE projects ADD COLUMN colour text"))

    assert inspect(db_connection).has_table("notes")
    assert pg.outside("select to_regclass('notes')") is None


# --8<-- [end:ddl]


# --8<-- [start:threads]
@twice
def test_what_threads_commit(run, app, db_session, pg):
    """Four requests at once, each in a thread of its own with a session of its own."""

    def register(path):
        return app.test_client().post("/api/projects", json={"path": path}).status_code

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(register, ["/srv/1", "/srv/2", "/srv/3", "/srv/4"]))

    assert answers == [201, 201, 201, 201]
    assert db_session.scalar(select(func.count(Project.id))) == 4
    assert pg.outside("select count(*) from projects") == 0


# --8<-- [end:threads]


@twice
def test_what_a_thread_leaves_uncommitted(run, db_engine, db_session, pg):
    """A forgotten commit is undone when its connection closes, as in production."""

    def forget():
        with Session(db_engine) as session:
            session.add(Project(name="one", path="/srv/one"))
            session.flush()

    with ThreadPoolExecutor(1) as threads:
        threads.submit(forget).result()

    assert db_session.scalar(select(func.count(Project.id))) == 0
    assert pg.outside(PROJECTS) == 0


# --- within one test ------------------------------------------------------------------------------


# --8<-- [start:rollback]
def test_a_rollback_undoes_one_transaction_only(db_session):
    """What was committed before stays, as in production."""
    ProjectFactory(path="/srv/kept")
    db_session.commit()
    ProjectFactory(path="/srv/undone")
    db_session.rollback()

    assert db_session.scalars(select(Project.path)).all() == ["/srv/kept"]


# --8<-- [end:rollback]


# --8<-- [start:integrity_error]
def test_the_test_goes_on_after_an_integrity_error(db_session):
    """The refused row is gone, the committed one is there, and the session works again."""
    ProjectFactory(path="/srv/one")
    db_session.commit()
    with pytest.raises(IntegrityError):
        ProjectFactory(path="/srv/one")
    db_session.rollback()
    ProjectFactory(path="/srv/two")
    db_session.commit()

    assert db_session.scalar(select(func.count(Project.id))) == 2


# --8<-- [end:integrity_error]


# --8<-- [start:forgotten_commit]
def test_a_forgotten_commit_is_found(db_engine, db_session):
    """A transaction that its code does not commit is undone at the end of the block."""
    with Session(db_engine) as session:
        session.add(Project(name="one", path="/srv/one"))
        session.flush()

    assert db_session.scalar(select(func.count(Project.id))) == 0


# --8<-- [end:forgotten_commit]


def test_a_savepoint_is_undone_alone(db_session):
    """begin_nested() works inside of the test as it does in production."""
    ProjectFactory(path="/srv/kept")
    with pytest.raises(IntegrityError), db_session.begin_nested():
        ProjectFactory(path="/srv/kept")
    db_session.commit()

    assert db_session.scalars(select(Project.path)).all() == ["/srv/kept"]


def test_the_application_sees_what_the_test_only_flushed(client):
    """What a test arranges need not be committed to be there for a request."""
    project = ProjectFactory()

    assert client.get(f"/api/projects/{project.id}").json["path"] == project.path


# --8<-- [start:stale]
def test_an_object_of_the_test_is_as_old_as_it_was_read(client, db_session):
    """A session does not read an object again that it has: ask it to, or use another session."""
    project = ProjectFactory(name="old")
    client.patch(f"/api/projects/{project.id}", json={"name": "new"})

    assert project.name == "old"
    db_session.refresh(project)
    assert project.name == "new"


# --8<-- [end:stale]


def test_a_request_stays_when_the_test_rolls_back(client, db_session):
    """The test's own session never undoes what the application committed."""
    ProjectFactory(path="/srv/arranged")
    client.post("/api/projects", json={"path": "/srv/requested"})
    db_session.rollback()

    paths = db_session.scalars(select(Project.path)).all()
    assert "/srv/requested" in paths
