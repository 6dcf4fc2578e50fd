"""Runs of the example project ``sandbox_rows``, once per driver for all tests of a module."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.kit.integration.plugin.projects import Project
from tests.kit.integration.recorded import EXAMPLES

DRIVERS = ("psycopg2", "psycopg")


@dataclass(frozen=True)
class Case:
    """What became of one test of the project."""

    name: str
    """Its name with its parameters."""
    outcome: str
    """``passed``, ``skipped``, ``failure`` (in its body) or ``error`` (around it)."""
    text: str
    """What its report says."""


Cases = Mapping[str, tuple[Case, ...]]
"""The tests that ran, by the name of their function."""
RunRows = Callable[..., Cases]


@pytest.fixture(scope="session")
def run_rows(tmp_path_factory: pytest.TempPathFactory) -> RunRows:
    """Run the project with a driver and pytest's arguments, and return what became of each test."""
    caches = tmp_path_factory.mktemp("caches")

    def run(driver: str, *arguments: str) -> Cases:
        path = tmp_path_factory.mktemp("sandbox") / "sandbox_rows"
        shutil.copytree(EXAMPLES / "sandbox_rows", path)
        Project(path, caches).run(
            "--pg-server=embedded", "--junitxml=report.xml", *arguments, SHOP_DRIVER=driver
        )
        return _cases(path / "report.xml")

    return run


def _cases(report: Path) -> Cases:
    found: dict[str, dict[str, Case]] = {}
    for element in ET.parse(report).iter("testcase"):  # noqa: S314  # our own file
        case = _case(element)
        names = found.setdefault(case.name.partition("[")[0], {})
        names[case.name] = case
    return {function: tuple(cases.values()) for function, cases in found.items()}


def _case(element: ET.Element) -> Case:
    parts = [part for part in element if part.tag in ("skipped", "failure", "error")]
    text = "\n".join(f"{part.get('message')}\n{part.text}" for part in parts)
    return Case(element.attrib["name"], parts[0].tag if parts else "passed", text)
