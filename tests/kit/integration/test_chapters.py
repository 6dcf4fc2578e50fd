"""The failures that the guide shows are those that people get."""

from __future__ import annotations

import re
import shutil

import pytest
import sqlalchemy

from tests.kit.integration.plugin.projects import Outcome, Project
from tests.kit.integration.recorded import (
    EXAMPLES,
    failure_in,
    message_in,
    normalised,
    recorded,
    report_in,
)

PITFALLS = {
    "forgotten-commit": "test_a_posted_order_is_stored",
    "query-per-row": "test_a_longer_list_takes_no_more_statements",
    "too-many-statements": "test_the_list_asks_for_customers_once",
    "fixed-id": "test_the_first_order_is_number_one",
    "same-time": "test_the_newer_order_is_newer",
    "same-email": "test_two_customers",
    "no-parent": "test_an_order_needs_a_customer",
    "pending-rollback": "test_the_refused_customer_is_not_there",
    "lock": "test_a_locked_customer_keeps_a_second_session_out",
}
"""What is recorded of each failing test of the project ``pitfalls``."""

EXPLAINED = ("forgotten-commit", "fixed-id", "same-time", "lock")
"""Those that the report explains by a hint."""

RED = {
    "refused": "test_an_order_is_cancelled",
    "missing-greenlet": "test_the_customer_of_an_order",
    "missing-relation": "test_the_shelves_are_empty",
    "serializable": "test_one_of_two_gives_way",
    "dirty-read": "test_nobody_sees_an_order_before_its_commit",
}
"""What is recorded of each failing test of the project ``red``."""

FORGETFUL = {
    "uncommitted-writes": "test_an_order_is_stored",
    "dirty-read": "test_a_mail_counts_the_order",
}
"""The errors of the project ``forgetful``, by their pages."""


def copy_of(name: str, factory: pytest.TempPathFactory) -> Project:
    """The example *name*, outside of the checkout."""
    path = factory.mktemp("example") / name
    shutil.copytree(EXAMPLES / name, path)
    return Project(path)


@pytest.fixture(scope="module")
def pitfalls(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What the tests of ``pitfalls`` print, all of which fail."""
    return copy_of("pitfalls", tmp_path_factory).run("--pg-server=embedded", "--tb=short")


@pytest.fixture
def moving(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project whose tests mock the session."""
    return copy_of("moving", tmp_path_factory)


def test_every_pitfall_is_recorded(pitfalls: Outcome) -> None:
    """A test that passes there shows nothing."""
    assert pitfalls.counts == {"failed": len(PITFALLS)}


@pytest.mark.parametrize(("name", "title"), PITFALLS.items(), ids=PITFALLS)
def test_what_a_newcomer_meets(pitfalls: Outcome, name: str, title: str) -> None:
    """The failure in pytest's report is the one of the chapter."""
    failure = normalised(failure_in(pitfalls.section(title)))

    assert failure == recorded(f"pitfalls/{name}", failure)


@pytest.mark.parametrize("name", EXPLAINED)
def test_a_hint_explains_a_pitfall(pitfalls: Outcome, name: str) -> None:
    """Below the transactions of the test, one at the most."""
    report = normalised(report_in(pitfalls.section(PITFALLS[name])))

    assert report == recorded(f"reports/{name}", report)
    assert report.count("hint: ") == 1


def test_the_others_get_no_hint(pitfalls: Outcome) -> None:
    """A wrong one costs more than none."""
    others = [title for name, title in PITFALLS.items() if name not in EXPLAINED]

    assert [title for title in others if "hint: " in pitfalls.section(title)] == []


@pytest.fixture(scope="module")
def red(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What the tests of ``red`` print, all of which fail."""
    return copy_of("red", tmp_path_factory).run("--pg-server=embedded", "--tb=short")


@pytest.mark.parametrize(("name", "title"), RED.items(), ids=RED)
def test_the_report_says_why_a_test_is_red(red: Outcome, name: str, title: str) -> None:
    """What was refused, the transactions, a hint; never more than a screen."""
    report = normalised(report_in(red.section(title)))

    expected = recorded(f"reports/{name}", report)
    if sqlalchemy.__version__.startswith("2.0."):
        assert _writes(report) == _writes(expected)
    else:
        assert report == expected
    assert len(report.splitlines()) < 30


def _writes(report: str) -> list[str]:
    """Return the lines of *report* but those of reads, whose columns SQLAlchemy 2.0 labels."""
    return [line for line in report.splitlines() if not line.startswith("    SELECT ")]


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project whose requests forget to commit."""
    return copy_of("forgetful", tmp_path_factory)


def test_what_nobody_committed_is_found(forgetful: Project) -> None:
    """Under pytest-flask, whose context keeps the application's session open."""
    run = forgetful.run("--pg-server=embedded", "-p", "pytest_flask.plugin")
    said = {
        page: normalised(message_in(run.section(f"ERROR at teardown of {title}")))
        for page, title in FORGETFUL.items()
    }

    assert run.counts == {"passed": 3, "errors": 2}
    assert said == {page: recorded(f"messages/{page}", text) for page, text in said.items()}


def test_what_nobody_committed_is_told_of(forgetful: Project) -> None:
    """Where the setting says ``warn``."""
    run = forgetful.run(
        "--pg-server=embedded", "-p", "pytest_flask.plugin", "--pg-uncommitted=warn"
    )
    lines = [line for line in run.out.splitlines() if "left work uncommitted" in line]
    told = normalised("\n".join(lines))

    assert run.counts == {"passed": 3}
    assert told == recorded("output/uncommitted", told)


LISTED = """
from factories import OrderFactory


def test_orders_are_listed(client):
    OrderFactory.create_batch(4)

    assert client.get("/orders").status_code == 200
"""


def test_a_query_per_row_is_named_in_the_summary(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where the setting watches the suite, whose test passes."""
    project = copy_of("pitfalls", tmp_path_factory)
    project.write({"tests/integration/test_orders.py": LISTED})
    run = project.run("--pg-server=embedded", "--pg-repeated-queries=3", "-k", "are_listed")
    line = normalised(run.line("pgsandbox: a query per row"))

    assert run.counts["passed"] == 1
    assert line == recorded("output/repeated-queries", line)


def test_the_coverage_of_a_schema_is_printed(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Of a project whose tests pass."""
    run = copy_of("library", tmp_path_factory).run("--pg-server=embedded", "--pg-coverage")
    table = re.split(
        r"^=+ [\w ]+ =+$", run.out.partition(" schema coverage of default ")[2], flags=re.MULTILINE
    )[0]
    said = normalised(table.strip("= \n"))

    assert run.code == 0, run.text
    assert said == recorded("output/coverage", said)


def test_the_mocked_suite_passes_whatever_the_database_says(moving: Project) -> None:
    """The word that the service writes is not one that the table takes."""
    run = moving.run("tests/unit")

    assert run.counts == {"passed": 2}


def test_the_first_integration_test_finds_what_the_mock_accepted(moving: Project) -> None:
    """As the chapter shows it, and passes once the word is right."""
    broken = moving.run("--pg-server=embedded", "tests/integration", "--tb=short")
    failure = normalised(failure_in(broken.section("test_an_open_order_is_cancelled")))
    service = moving.path / "shop" / "orders.py"
    service.write_text(service.read_text().replace('"canceled"', '"cancelled"'))
    repaired = moving.run("--pg-server=embedded", "tests/integration")

    assert failure == recorded("pitfalls/moved", failure)
    assert broken.counts == {"failed": 1, "passed": 1}
    assert repaired.counts == {"passed": 2}
