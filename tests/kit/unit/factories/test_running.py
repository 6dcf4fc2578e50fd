"""What factories take from the running test: a fresh start, and nothing more than that."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref

import factory
import faker
import pytest
from factory import fuzzy, random

from pgsandbox import factories
from pgsandbox.factories import Factory


class Item:
    """Anything with attributes."""

    def __init__(self, **values):
        vars(self).update(values)


class ItemFactory(Factory[Item]):
    """Makes items that count."""

    class Meta:
        model = Item

    number = factory.Sequence(lambda n: n)


@pytest.fixture(autouse=True)
def _beginning():
    """Each test begins as a test of a project does, and leaves no source behind."""
    factories.begin_test("a test")
    yield
    factories.use_session_source(None)


# --- sequences -----------------------------------------------------------------------------------


def test_a_sequence_begins_anew_in_each_test():
    """The first object of a test has the first number."""
    before = [item.number for item in ItemFactory.build_batch(3)]

    factories.begin_test("the next test")

    assert before == [0, 1, 2]
    assert ItemFactory.build().number == 0


def test_a_sequence_begins_where_its_factory_says():
    """An override of _setup_next_sequence holds in every test."""

    class FromHundred(Factory):
        class Meta:
            model = Item

        number = factory.Sequence(lambda n: n)

        @classmethod
        def _setup_next_sequence(cls):
            return 100

    before = FromHundred.build_batch(2)
    factories.begin_test("the next test")

    assert [item.number for item in before] == [100, 101]
    assert FromHundred.build().number == 100


def test_a_factory_that_extends_another_counts_with_it_in_each_test():
    """Both share one counter, whoever is used first."""

    class Special(ItemFactory):
        pass

    before = [Special.build().number, ItemFactory.build().number, Special.build().number]
    factories.begin_test("the next test")
    after = [ItemFactory.build().number, Special.build().number]

    assert before == [0, 1, 2]
    assert after == [0, 1]


def test_a_factory_that_is_gone_has_not_moved_its_base():
    """What a factory inside a test counted for its base ends with the test, too."""

    class Passing(ItemFactory):
        pass

    Passing.build()
    del Passing
    gc.collect()
    factories.begin_test("the next test")

    assert ItemFactory.build().number == 0


def test_a_number_that_is_given_counts_for_one_call():
    """__sequence is Factory Boy's way to say a number, and moves no counter."""
    numbers = [ItemFactory.build(__sequence=42).number, ItemFactory.build().number]

    assert numbers == [42, 0]


def test_a_sequence_that_a_test_set_begins_anew_in_the_next():
    """Even if the test made nothing afterwards."""
    ItemFactory.reset_sequence(500)

    factories.begin_test("the next test")

    assert ItemFactory.build().number == 0


def test_a_sequence_that_is_set_counts_on_in_its_test():
    """reset_sequence works as Factory Boy says."""
    ItemFactory.reset_sequence(500)

    assert [item.number for item in ItemFactory.build_batch(2)] == [500, 501]


def test_sub_factories_begin_anew_with_their_factory():
    """Whatever counted in a test counts from the start in the next."""

    class BoxFactory(Factory):
        class Meta:
            model = Item

        item = factory.SubFactory(ItemFactory)
        items = factory.List([factory.SubFactory(ItemFactory)])

    before = BoxFactory.build()
    factories.begin_test("the next test")
    after = BoxFactory.build()

    assert (before.item.number, before.items[0].number) == (0, 1)
    assert (after.item.number, after.items[0].number) == (0, 1)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda iterator: iterator,
        lambda iterator: factory.Transformer(iterator, transform=str.upper),
        lambda iterator: factory.Maybe("is_on", iterator, "off"),
    ],
)
def test_an_iterator_begins_anew_in_each_test(wrap):
    """It is a sequence in other words, however deep it stands."""

    class Coloured(Factory):
        class Meta:
            model = Item
            exclude = ("is_on",)

        is_on = True
        colour = wrap(factory.Iterator(["red", "green", "blue"]))

    before = [item.colour.lower() for item in Coloured.build_batch(2)]
    factories.begin_test("the next test")
    after = [item.colour.lower() for item in Coloured.build_batch(2)]

    assert before == after == ["red", "green"]


def test_an_iterator_of_a_sub_factory_begins_anew():
    """Those among the values that a sub-factory or a related factory is given are found as well."""

    class Box(Factory):
        class Meta:
            model = Item

        lid = factory.SubFactory(ItemFactory, colour=factory.Iterator(["red", "green"]))
        made = factory.RelatedFactory(ItemFactory, colour=factory.Iterator(["red", "green"]))

        @classmethod
        def _after_postgeneration(cls, instance, create, results=None):
            instance.made = results["made"]

    before = Box.build()
    factories.begin_test("the next test")
    after = Box.build()

    assert (before.lid.colour, before.made.colour) == ("red", "red")
    assert (after.lid.colour, after.made.colour) == ("red", "red")


def test_a_factory_that_nobody_holds_is_not_kept():
    """Factories that are made inside a test are gone when the next one begins."""

    class Passing(ItemFactory):
        class Meta:
            model = type("Other", (), {"__init__": lambda self, number: None})

    Passing.build()
    gone = weakref.ref(Passing)
    del Passing
    factories.begin_test("the next test")
    gc.collect()

    assert gone() is None


# --- random values -------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_values():
    """Factory Boy's own random values and Faker's repeat."""

    class Random(Factory):
        class Meta:
            model = Item

        name = factory.Faker("name")
        number = fuzzy.FuzzyInteger(10**9)

    def values():
        return [(item.name, item.number) for item in Random.build_batch(3)]

    factories.begin_test("tests/test_shop.py::test_order")
    first = values()
    factories.begin_test("tests/test_shop.py::test_return")
    other = values()
    factories.begin_test("tests/test_shop.py::test_order")

    assert values() == first
    assert other != first


def test_faker_alone_follows_the_seed():
    """A test that asks Faker itself repeats, too."""
    factories.begin_test(7)
    first = faker.Faker().name()
    factories.begin_test(7)

    assert faker.Faker().name() == first


def test_a_seed_may_be_a_number():
    """As people write it on the command line."""
    factories.begin_test(7)
    first = random.randgen.random()
    factories.begin_test(7)

    assert random.randgen.random() == first


# --- weight --------------------------------------------------------------------------------------


def _run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    return done.stdout.strip()


def test_a_project_without_factories_does_not_load_factory_boy():
    """What the plugin calls before each test imports neither Factory Boy nor SQLAlchemy."""
    assert (
        _run(
            "import sys\n"
            "from pgsandbox import factories\n"
            "factories.use_session_source(lambda: None)\n"
            "factories.begin_test('a test')\n"
            "print(sorted({'factory', 'faker', 'sqlalchemy'} & set(sys.modules)))\n"
        )
        == "[]"
    )


def test_factories_that_a_test_imports_follow_its_seed():
    """A test that is the first to import its factories repeats like any other."""
    code = (
        "from pgsandbox import factories\n"
        "factories.begin_test('a test')\n"
        "from pgsandbox.factories import Factory\n"
        "from factory import random\n"
        "print(random.randgen.random())\n"
    )

    assert _run(code) == _run(code)


def test_the_package_has_only_what_it_names():
    """Factory is imported when it is asked for; a wrong name is an error as in any module."""
    with pytest.raises(AttributeError, match="no attribute 'Factry'"):
        _ = factories.Factry
