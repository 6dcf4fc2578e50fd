"""The comparison finds what differs: behaviours that do so on purpose."""

from __future__ import annotations

import dataclasses

import pytest

from tests.kit.differential.comparing import Compared, Verdict
from tests.kit.differential.playing import Stage


@pytest.fixture(scope="module")
def planted(stage: Stage) -> dict[str, Compared]:
    """What was found of each; one of them hangs in the sandbox."""
    impatient = dataclasses.replace(stage, patience=4.0)
    return {each.name: each for each in impatient.compared("--planted")}


def test_a_different_word_is_found(planted: dict[str, Compared]) -> None:
    """Both words are told."""
    found = planted["planted.says_another_word"]

    assert found.verdict is Verdict.DIFFERENT
    assert found.why.split() == ["real", "a", "clone", "sandbox", "the", "sandbox"]


def test_a_refusal_is_told_by_its_name(planted: dict[str, Compared]) -> None:
    """It is no silent difference."""
    found = planted["planted.refuses_by_name"]

    assert (found.verdict, found.why) == (Verdict.REFUSED, "NotInSandbox")


def test_an_error_without_our_name_is_a_difference(planted: dict[str, Compared]) -> None:
    """Whatever it is."""
    found = planted["planted.dies_in_the_sandbox"]

    assert found.verdict is Verdict.DIFFERENT
    assert "ValueError nobody expected it" in found.why


@pytest.mark.nightly
def test_a_behaviour_that_hangs_is_a_difference(planted: dict[str, Compared]) -> None:
    """It ends its process, and those after it are played in another one."""
    found = planted["planted.hangs_in_the_sandbox"]

    assert found.verdict is Verdict.DIFFERENT
    assert "it hangs" in found.why


def test_what_is_the_same_is_the_same(planted: dict[str, Compared]) -> None:
    """Also after one that hung."""
    assert planted["planted.is_the_same"].verdict is Verdict.SAME
