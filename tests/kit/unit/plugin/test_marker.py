"""The marker's arguments, and what is said of wrong ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from pgsandbox.config.kinds import Repetitions
from pgsandbox.errors import ConfigurationError
from pgsandbox.plugin.marker import Choice, choice_of


@dataclass
class Item:
    """A test with a marker of its own, and perhaps one of its class."""

    mark: pytest.MarkDecorator | None
    of_class: pytest.MarkDecorator | None = None
    nodeid: str = "tests/test_items.py::test_item"

    def iter_markers(self, name: str) -> Iterator[pytest.Mark]:
        """Yield the markers of that name, the closest first, as pytest's own items do."""
        for each in (self.mark, self.of_class):
            if each is not None and each.name == name:
                yield each.mark


def test_no_marker_asks_for_nothing():
    """Below `paths` a test is sandboxed all the same."""
    choice = choice_of(Item(None))

    assert choice == Choice(isolation="sandbox", is_marked=False, is_requested=False)


def test_the_marker_asks_for_the_sandbox():
    """Without arguments it is the default isolation."""
    choice = choice_of(Item(pytest.mark.pgsandbox))

    assert choice == Choice(isolation="sandbox", is_marked=True)


def test_isolation_is_chosen_by_keyword():
    """There are two."""
    assert choice_of(Item(pytest.mark.pgsandbox(isolation="sandbox"))).isolation == "sandbox"
    assert choice_of(Item(pytest.mark.pgsandbox(isolation="clone"))).isolation == "clone"


def test_of_each_keyword_the_closest_marker_counts():
    """A class may say one thing, and its test another."""
    of_class = pytest.mark.pgsandbox(isolation="clone", uncommitted="warn")
    choice = choice_of(Item(pytest.mark.pgsandbox(uncommitted="ignore"), of_class))

    assert choice == Choice(isolation="clone", uncommitted="ignore", is_marked=True)


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        (pytest.mark.pgsandbox("clone"), "0 positional arguments"),
        (pytest.mark.pgsandbox(isolatoin="clone"), "'isolatoin'"),
        (pytest.mark.pgsandbox(isolation="transaction"), "'transaction'"),
        (pytest.mark.pgsandbox(isolation=["clone"]), "['clone']"),
        (pytest.mark.pgsandbox(uncommitted="never"), "'never'"),
    ],
)
def test_wrong_arguments_are_named(mark, said):
    """With the test that has them, and with what the marker takes."""
    with pytest.raises(ConfigurationError) as caught:
        choice_of(Item(mark))

    assert "The marker pgsandbox is used wrongly" in str(caught.value)
    assert said in str(caught.value)
    assert "tests/test_items.py::test_item" in str(caught.value)
    assert 'isolation="sandbox"' in str(caught.value)


def test_repetitions_are_set_for_one_test():
    """As the setting is."""
    choice = choice_of(Item(pytest.mark.pgsandbox(repeated_queries="fail 3")))

    assert choice.repeated_queries == Repetitions(3, "fail")


def test_a_wrong_number_of_repetitions_is_refused():
    """With what may be written."""
    with pytest.raises(ConfigurationError, match=r"must be .off., a number.* not .often."):
        choice_of(Item(pytest.mark.pgsandbox(repeated_queries="often")))
