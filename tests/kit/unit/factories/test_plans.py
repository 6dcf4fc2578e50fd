"""What is declared for models that ask more of a generator than most."""

import re
import sys
from pathlib import Path

import pytest

from pgsandbox.factories.generating import generate
from tests.kit.unit.factories import odd_models

METADATAS = [odd_models.Base.metadata, odd_models.Records.metadata]


@pytest.fixture(scope="module")
def module():
    """The module that is written for them."""
    return generate(METADATAS, Path(odd_models.__file__).parents[4])


def body_of(text, name):
    """The declarations of one factory, with their comments."""
    found = re.search(rf"class {name}\(Factory\):\n(.*?)(?:\n\n\n|\Z)", text, re.DOTALL)
    return [line.strip() for line in found[1].splitlines() if line.strip()]


def test_parents_that_share_a_column_share_what_it_leads_to(module):
    """The author, the project and the page are of one tenant."""
    body = body_of(module.text, "PageFactory")
    shared = "factory.SelfAttribute"

    assert body[2:] == [
        'tenant = factory.SelfAttribute("author.tenant")',
        "author = factory.SubFactory(AuthorFactory)",
        f'project = factory.SubFactory(ProjectFactory, tenant={shared}("..author.tenant"))',
    ]


def test_a_circle_that_nothing_opens_is_for_the_reader(module):
    """One of the two has to be written first, and neither can."""
    body = body_of(module.text, "HenFactory")

    assert body[2:] == [
        "# Your turn: A Hen needs a row of eggs that needs it: the circle is open.",
        "egg_id = None",
    ]


def test_a_constructor_that_asks_for_more_is_for_the_reader(module):
    """Nobody knows who signs."""
    said = " ".join(body_of(module.text, "LetterFactory"))

    assert "# Your turn: The constructor of Letter asks for more: TypeError:" in said


def test_a_dataclass_gets_what_its_constructor_asks_for(module):
    """Also what may be NULL."""
    body = body_of(module.text, "RecordFactory")

    assert body[2:] == ['title = factory.Sequence(lambda n: f"title-{n}")', "remark = None"]


def test_marks_are_counted(module):
    """The command says how many places wait."""
    assert module.marks == module.text.count("# Your turn:") == 2


def test_the_module_is_the_same_each_time(module):
    """SQLAlchemy keeps its mappers in sets."""
    again = generate(METADATAS[::-1], Path(odd_models.__file__).parents[4])

    assert again.text == module.text


def test_the_module_can_be_executed(module):
    """It imports what it uses, and nothing stands before what it needs."""
    names = {"__name__": "written"}
    exec(module.text, names)  # noqa: S102 - our own module

    assert len([each for each in names if each.endswith("Factory")]) == module.factories + 1
    assert "written" not in sys.modules
