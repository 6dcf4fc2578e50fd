"""The ready-made migration tests, in a project whose migrations have faults, and in none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.kit.integration.plugin.projects import Outcome, Project
from tests.kit.integration.recorded import EXAMPLES, normalised, recorded

FAULTS = {
    "test_migrations_go_down_and_up_again": ["not-undone", "public.state"],
    "test_migrations_leave_nothing_at_base": ["left-at-base", "public.state"],
    "test_migrations_make_what_the_models_say": [
        "amount_is_positive",
        "public.orders.orders_state",
    ],
}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A run of the example outside of the checkout."""
    path = tmp_path_factory.mktemp("example") / "migrating"
    shutil.copytree(EXAMPLES / "migrating", path)
    return Project(path).run("-p", "no:randomly")


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_named_by_its_test(outcome: Outcome, name: str) -> None:
    """The page of the guide shows the same lines."""
    section = outcome.section(name)
    shown = normalised(section)

    assert [word for word in FAULTS[name] if word not in section] == []
    assert shown == recorded(f"output/{name.removeprefix('test_')}", shown)


def test_a_long_lock_is_a_warning(outcome: Outcome) -> None:
    """Its test passes; whoever wants it to fail makes errors of warnings."""
    assert "LongLock: migrations/versions/0002_state_index.py: orders: 0002" in outcome.out
    assert outcome.counts == {"failed": 3, "passed": 4, "skipped": 1, "warnings": 1}


def test_a_project_without_migrations(tmp_path: Path) -> None:
    """It is said what is missing."""
    path = tmp_path / "quickstart"
    shutil.copytree(EXAMPLES / "quickstart", path)
    file = path / "tests" / "integration" / "test_migrations.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("from pgsandbox.plugin.migration_tests import test_migrations_have_one_head\n")
    outcome = Project(path).run("-k", "one_head")

    assert "ConfigurationError: There are no migrations to check." in outcome.out
