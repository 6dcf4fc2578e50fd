"""What factories do where there is no database."""

from __future__ import annotations

import factory
import pytest
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from pgsandbox import factories
from pgsandbox.errors import FactoryError, NoSession
from pgsandbox.factories import Factory


class Base(DeclarativeBase):
    """The registry of the models."""


class Project(Base):
    """A model that no database knows."""

    __tablename__ = "projects"

    id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[str]


class ProjectFactory(Factory[Project]):
    """Makes projects."""

    class Meta:
        model = Project

    path = factory.Sequence(lambda n: f"/srv/project-{n}")


@pytest.fixture(autouse=True)
def _no_test_has_a_session():
    """Begin as a test that did not ask for the database."""
    factories.begin_test("a test")
    factories.use_session_source(None)


@pytest.mark.parametrize(
    "call",
    [
        ProjectFactory,
        ProjectFactory.create,
        lambda: ProjectFactory.create_batch(2),
        lambda: ProjectFactory.generate("create"),
        lambda: ProjectFactory.simple_generate(create=True),
        lambda: ProjectFactory.generate_batch("create", 2),
    ],
)
def test_without_a_session_nothing_is_made(call):
    """Every way to make an object says so, and no number is used up."""
    with pytest.raises(NoSession):
        call()

    assert ProjectFactory.build().path == "/srv/project-0"


def test_the_error_says_what_to_do():
    """It names the factory and its model, the fixture to request and the way without a database."""
    with pytest.raises(NoSession) as refused:
        ProjectFactory()

    assert str(refused.value) == (
        "ProjectFactory was called where no test has a session, so nothing was made.\n"
        "\n"
        "  factory    tests.kit.unit.factories.test_base.ProjectFactory\n"
        "  model      tests.kit.unit.factories.test_base.Project\n"
        "\n"
        "Request db_session in the test or fixture that calls it. A call at a module's level or in "
        "a list of parameters has to move into one. ProjectFactory.build() makes the object "
        "without a database.\n"
        "Background: pgsandbox explain NoSession (reference/errors/no-session/)"
    )


def test_build_and_stub_need_no_session():
    """They make objects for tests without a database."""
    built = [ProjectFactory.build(), *ProjectFactory.build_batch(2)]
    stubbed = [ProjectFactory.stub(), *ProjectFactory.stub_batch(2)]

    assert [each.path for each in [*built, *stubbed]] == [f"/srv/project-{n}" for n in range(6)]
    assert type(built[0]) is Project


def test_build_and_stub_may_be_given_a_session():
    """A helper that passes its session on may build as well as create."""
    session = Session()

    built = ProjectFactory.build(_session=session)
    stubbed = ProjectFactory.stub(_session=session)

    assert (built.path, stubbed.path) == ("/srv/project-0", "/srv/project-1")
    assert not session.new


def test_dict_factories_are_what_they_were():
    """Factory Boy's other factories have nothing to do with sessions."""

    class Payload(factory.DictFactory):
        path = factory.Sequence(lambda n: f"/srv/{n}")
        more = factory.Dict({"list": factory.List([1, 2])})

    assert Payload() == {"path": "/srv/0", "more": {"list": [1, 2]}}


def test_a_build_strategy_in_the_meta_is_honoured():
    """Calling such a factory builds."""

    class Built(ProjectFactory):
        class Meta:
            strategy = factory.BUILD_STRATEGY

    assert Built().path == "/srv/project-0"


def test_nothing_of_a_call_is_kept_on_the_class():
    """Neither session nor parameters."""
    ProjectFactory.build(path="/srv/one")
    with pytest.raises(NoSession):
        ProjectFactory(path="/srv/two")

    assert ProjectFactory._original_params is None
    assert ProjectFactory._meta.sqlalchemy_session is None


def test_a_session_in_the_meta_is_refused_as_the_class_is_made():
    """It would outlive its test; the message says what takes its place."""
    with pytest.raises(FactoryError) as refused:

        class Stored(ProjectFactory):
            class Meta:
                sqlalchemy_session = Session()

    assert "Stored has a session in its Meta" in str(refused.value)
    assert "_session=" in str(refused.value)
    assert "sqlalchemy_session_factory" in str(refused.value)


def test_a_wrong_persistence_is_refused_as_the_class_is_made():
    """Factory Boy checks it, as ever."""
    with pytest.raises(TypeError, match="sqlalchemy_session_persistence"):

        class Wrong(ProjectFactory):
            class Meta:
                sqlalchemy_session_persistence = "later"


def test_subclasses_write_at_once_unless_they_say_otherwise():
    """The default is inherited from the base."""
    assert ProjectFactory._meta.sqlalchemy_session_persistence == "flush"


def test_a_factory_may_name_its_model_for_the_type_checker_or_not():
    """Factory[Project] and Factory are the same at run time."""

    class Plain(Factory):
        class Meta:
            model = Project

        path = "/srv/plain"

    assert Plain.build().path == "/srv/plain"
