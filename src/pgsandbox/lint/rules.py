"""The rules: what each is called, why it is one, and what to write instead.

The page ``reference/lint`` and ``pgsandbox lint --explain`` are made from these declarations; the
examples are those that the rules' own tests read.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """One thing that a test file should not do."""

    code: str
    """Its name in reports and in ignore comments."""
    title: str
    """What it says, as one sentence."""
    why: str
    """What goes wrong otherwise, and what is no finding."""
    instead: str
    """What to do, in one sentence, as every finding says it."""
    bad: str = ""
    """A test that breaks it."""
    good: str = ""
    """The same test without the finding."""

    @property
    def page(self) -> str:
        """The section of the site that explains it."""
        return f"reference/lint/#{self.code.lower()}"


RULES: tuple[Rule, ...] = (
    Rule(
        "PGS001",
        "Every file can be read as Python.",
        "A file that Python's parser refuses, or that is no text in the encoding it declares, was "
        "not looked at; the other files were.",
        "Correct the file at that place.",
    ),
    Rule(
        "PGS002",
        "An ignore comment names its rule and gives a reason.",
        "An exception that nobody can argue with stays for ever. "
        "The comment suppresses the finding all the same, so that there is one thing to mend.",
        "Write `# pgsandbox: ignore[CODE]` and the reason behind it.",
        bad="""\
def test_a_second_visit_is_later(db_session):
    first = visit(db_session)
    time.sleep(1.1)  # pgsandbox: ignore[PGS301]

    assert visit(db_session).at > first.at
""",
        good="""\
def test_a_second_visit_is_later(db_session):
    first = visit(db_session)
    time.sleep(1.1)  # pgsandbox: ignore[PGS301] the column holds whole seconds

    assert visit(db_session).at > first.at
""",
    ),
    Rule(
        "PGS003",
        "An ignore comment suppresses something.",
        "The finding it was written for is gone, its rule does not exist, or it stands on another "
        "line. A comment counts for the statement whose line it is on, or, alone on its line, for "
        "the next one.",
        "Remove the comment, or correct its code.",
        bad="""\
def test_the_device_counts_on(device):
    before = device.seconds()
    # pgsandbox: ignore[PGS301] its clock counts whole seconds
    device.wait_for_tick()

    assert device.seconds() > before
""",
        good="""\
def test_the_device_counts_on(device):
    before = device.seconds()
    device.wait_for_tick()

    assert device.seconds() > before
""",
    ),
    Rule(
        "PGS101",
        "A test does not import the application's engine or session maker.",
        "What the application binds to its own URL when it is imported leads to the development or "
        "production database. Found are engines, bound session makers, scoped sessions, sessions, "
        "and `SQLAlchemy(app)`, defined at the top of any of the application's modules, through "
        "re-exports and aliases; and every name in `forbidden-imports`. No finding is `db = "
        "SQLAlchemy()` without an application, an unbound `sessionmaker()`, an import for type "
        "checkers; and, where `redirect` is true, anything but `forbidden-imports`.",
        "Ask for `db_session` or `db_engine`, which are those of the test database.",
        bad="""\
from myapp.database import SessionLocal


def test_a_user_is_stored():
    with SessionLocal() as session:
        session.add(User(name="Ada"))
        session.commit()

        assert session.scalar(select(User.name)) == "Ada"
""",
        good="""\
def test_a_user_is_stored(db_session):
    db_session.add(User(name="Ada"))
    db_session.commit()

    assert db_session.scalar(select(User.name)) == "Ada"
""",
    ),
    Rule(
        "PGS102",
        "A test makes its engines from the test database's URL.",
        "An engine with a URL of its own opens another database than the one the kit made, marked "
        "and will drop. So do `psycopg2.connect()` and its like, and a URL that "
        "`app.config.update()` or `from_mapping()` gives to the application. "
        "`create_engine(pg.url)` and whatever else comes from `pg` or `db_engine` "
        "is no finding; nor is a URL that a caller gives, which can't be told from here.",
        "Ask for `db_engine`, or make the engine from `pg.url`.",
        bad="""\
@pytest.fixture
def engine():
    return create_engine(os.environ["DATABASE_URL"])
""",
        good="""\
@pytest.fixture
def serializable(pg):
    return create_engine(pg.url, isolation_level="SERIALIZABLE")
""",
    ),
    Rule(
        "PGS103",
        "An integration test runs on PostgreSQL, not on SQLite.",
        "SQLite accepts what PostgreSQL refuses, and the reverse: types, constraints, locks, "
        "transactional DDL. Found is a URL that is connected to or configured, also where it is "
        "what a variable has by default; not one that is compared, parsed, or written about.",
        "Use `pg.url`.",
        bad="""\
@pytest.fixture
def app():
    return create_app(SQLALCHEMY_DATABASE_URI="sqlite:///:memory:")
""",
        good="""\
@pytest.fixture
def app(pg):
    return create_app(SQLALCHEMY_DATABASE_URI=pg.url)
""",
    ),
    Rule(
        "PGS104",
        "A test does not create or drop the application's tables.",
        "They are in the test database before the first test, made once, from the metadata or from "
        "the migrations. `drop_all()` on the wrong engine has emptied databases. Tables of a "
        "MetaData that the test file itself makes are no finding.",
        "Remove it: the tables are there, and stay.",
        bad="""\
@pytest.fixture(autouse=True)
def tables(db_engine):
    Base.metadata.create_all(db_engine)
    yield
    Base.metadata.drop_all(db_engine)
""",
        good="""\
def test_the_table_is_there(db_session):
    assert db_session.scalars(select(User)).all() == []
""",
    ),
    Rule(
        "PGS105",
        "A test does not isolate itself by hand.",
        "An outer transaction that a fixture rolls back, `join_transaction_mode`, a listener for "
        "`after_transaction_end`: each of these misses commits on raw connections, other engines, "
        "in AUTOCOMMIT. The kit's sandbox undoes those too, and needs none of it.",
        "Ask for `db_session`; the test is a transaction already.",
        bad="""\
@pytest.fixture
def session(engine):
    connection = engine.connect()
    transaction = connection.begin()
    yield Session(connection, join_transaction_mode="create_savepoint")
    transaction.rollback()
""",
        good="""\
@pytest.fixture
def session(db_session):
    return db_session
""",
    ),
    Rule(
        "PGS106",
        "A test does not empty tables around itself.",
        "What a test writes is gone at its end. TRUNCATE, a loop over `sorted_tables`, or deletes "
        "that are committed, in a fixture or in `setUp` and `tearDown`, cost time per table and "
        "empty whatever database the engine leads to. In the body of a test they are no finding.",
        "Remove it: each test starts from what the template holds.",
        bad="""\
@pytest.fixture(autouse=True)
def clean(db_session):
    yield
    for table in reversed(Base.metadata.sorted_tables):
        db_session.execute(table.delete())
    db_session.commit()
""",
        good="""\
def test_the_first_user(db_session):
    db_session.add(User(name="Ada"))
    db_session.commit()

    assert db_session.scalars(select(User.name)).all() == ["Ada"]
""",
    ),
    Rule(
        "PGS107",
        "A test does not create or drop databases.",
        "The test database is made before the first test, under a name that no other run has, and "
        "dropped after the last. A fixed name collides with a second run; DROP DATABASE on a name "
        "from the environment has emptied more than tests. Found are `CREATE DATABASE` and `DROP "
        "DATABASE` that are executed, and `create_database`, `drop_database` and "
        "`database_exists` of sqlalchemy_utils.",
        "Delete the fixture, and take the URL of the test database from `pg.url`.",
        bad="""\
@pytest.fixture(scope="session", autouse=True)
def database():
    create_database("postgresql+psycopg2://localhost/shop_test")
    yield
    drop_database("postgresql+psycopg2://localhost/shop_test")
""",
        good="""\
def test_the_database_is_there(pg, db_session):
    assert db_session.scalar(text("select current_database()")) in pg.url
""",
    ),
    Rule(
        "PGS201",
        "No mock stands for a session, an engine, a query or a repository.",
        "A mocked session accepts every statement, so the test proves that the code calls what the "
        "code calls. Found are patch by name, patch.object and patch.multiple, pytest-mock's "
        "`mocker`, `monkeypatch.setattr`, mocks with a spec, plain mocks whose session "
        "methods are arranged, and mocks in FastAPI's `dependency_overrides`. A spy (`wraps=`), a "
        "replacement made from db_session, db_engine or pg, and mocks of anything else are no "
        "findings: an HTTP session, `flask.session`, a mail client.",
        "Run the code on the test database and assert on its rows.",
        bad="""\
@patch("myapp.users.db.session")
def test_a_user_is_stored(session):
    register("Ada")

    session.add.assert_called_once()
    session.commit.assert_called_once()
""",
        good="""\
def test_a_user_is_stored(db_session):
    register("Ada")

    assert db_session.scalar(select(User.name)) == "Ada"
""",
    ),
    Rule(
        "PGS301",
        "A test waits for an event, not for some time.",
        "`time.sleep()` is too long on a fast machine and too short on a busy one. The pause of a "
        "loop that looks for something, and ends when it is there, is no finding; nor is "
        "`asyncio.sleep()`, a sleep of the file's own, or a test that has nothing to do with a "
        "database.",
        "Wait for what is to happen: join the thread, or look for it in a loop with a deadline.",
        bad="""\
def test_the_worker_writes(db_session):
    Thread(target=import_users).start()
    time.sleep(2)

    assert db_session.scalar(select(func.count(User.id))) == 3
""",
        good="""\
def test_the_worker_writes(db_session):
    worker = Thread(target=import_users)
    worker.start()
    worker.join()

    assert db_session.scalar(select(func.count(User.id))) == 3
""",
    ),
    Rule(
        "PGS302",
        "A factory has the kit's base.",
        "`SQLAlchemyModelFactory` keeps a session on the class, so a test meets the one of an "
        "earlier test, or none; its get-or-create rolls back what the test wrote before. "
        "`pgsandbox.factories.Factory` finds the session of the running test. Only the class that "
        "names Factory Boy's base is found, not those that inherit from it.",
        "Inherit from `pgsandbox.factories.Factory`, and drop `sqlalchemy_session`.",
        bad="""\
class UserFactory(SQLAlchemyModelFactory):
    class Meta:
        model = User
        sqlalchemy_session = SessionLocal

    name = factory.Sequence(lambda n: f"user-{n}")
""",
        good="""\
class UserFactory(Factory):
    class Meta:
        model = User

    name = factory.Sequence(lambda n: f"user-{n}")
""",
    ),
    Rule(
        "PGS303",
        "A test does not expect a primary key that it did not choose.",
        "A sequence does not roll back: the next number depends on the tests before. Found are "
        "assertions that id or pk equals a number; not where the file, or a conftest.py above it, "
        "gives that number to an id.",
        "Compare with the object's own id, or give the id when you make the row.",
        bad="""\
def test_the_answer_names_the_user(client):
    answer = client.post("/users", json={"name": "Ada"})

    assert answer.json["id"] == 1
""",
        good="""\
def test_the_answer_names_the_user(client, db_session):
    answer = client.post("/users", json={"name": "Ada"})

    assert answer.json["id"] == db_session.scalar(select(User.id))
""",
    ),
    Rule(
        "PGS304",
        "A test that writes asserts.",
        "It passes whatever was written. No findings are tests that call something which asserts, "
        "raises, or is named so, whose name says that nothing is raised, or whose helpers can't "
        "be read.",
        "Read back what the test wrote, and compare it.",
        bad="""\
def test_a_user_is_stored(db_session):
    db_session.add(User(name="Ada"))
    db_session.commit()
""",
        good="""\
def test_a_user_is_stored(db_session):
    db_session.add(User(name="Ada"))
    db_session.commit()

    assert db_session.scalar(select(User.name)) == "Ada"
""",
    ),
)

BY_CODE = {rule.code: rule for rule in RULES}
"""The rules by their codes."""
