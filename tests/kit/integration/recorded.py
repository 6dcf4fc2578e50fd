"""What the site shows as printed: files below tests/examples/recorded, compared with the print.

``RECORD=1 pytest tests/kit/integration/test_messages.py`` writes the files instead.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from pgsandbox import errors

EXAMPLES = Path(__file__).parents[2] / "examples"
RECORDED = EXAMPLES / "recorded"

_DIFFERS_PER_RUN = (
    (re.compile(r"\bshop_[0-9a-f]{8}\b"), "shop"),
    (re.compile(r"\bshop_[0-9a-f]{8}_"), "shop_"),
    (re.compile(r"@/(\w*)\?host=\S+?&port=\d+"), r"@localhost:5432/\1"),
    (re.compile(r"127\.0\.0\.1:\d{5}"), "127.0.0.1:54321"),
    (re.compile(r"pid \d+"), "pid 4711"),
    (re.compile(r"pg_terminate_backend\(\d+\)"), "pg_terminate_backend(4711)"),
    (re.compile(r"\bport \d{5}\b"), "port 54321"),
    (re.compile(r"\bPostgreSQL \d+\.\d+"), "PostgreSQL 18.4"),
    (re.compile(r"\b(\w+)\.(\w+) AS \1_\2\b"), r"\1.\2"),  # SQLAlchemy 2.0
    (re.compile(r"sqlalche\.me/e/\d+/"), "sqlalche.me/e/21/"),
    (re.compile(r"(?<=/)dev/shm(?=/pgsandbox-)"), "tmp"),
    (re.compile(r"/pgsandbox-\d+/[\w/-]+"), "/pgsandbox-1000/0d3f7eee05"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ \w+ \[\d+\] "), ""),
    (re.compile(r"\b\d+\.\d\d ?s\b"), "N s"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+\+00"), "2026-01-01 12:00:00+00"),
    (re.compile(r"\b\d+ ms\b"), "N ms"),
    (re.compile(r" +$", re.MULTILINE), ""),
)

_HEADLINE = re.compile(rf"(pgsandbox\.errors\.)?({'|'.join(vars(errors))}): ")


def normalised(text: str) -> str:
    """*text* without what differs from run to run, and from machine to machine."""
    for pattern, replacement in _DIFFERS_PER_RUN:
        text = pattern.sub(replacement, text)
    return text.strip() + "\n"


def recorded(name: str, text: str) -> str:
    """What is recorded as *name*; with RECORD set, *text* is recorded first.

    *text* is normalised, and so is what was recorded.
    """
    file = RECORDED / f"{name}.txt"
    if os.environ.get("RECORD"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return file.read_text()


def message_in(section: str) -> str:
    """The message of pgsandbox in a failing test's *section* of pytest's report."""
    lines = [line.removeprefix("E   ") for line in section.splitlines()]
    start = next(n for n, line in enumerate(lines) if _HEADLINE.match(line))
    end = next(n for n, line in enumerate(lines) if n > start and line.startswith("Background: "))
    return "\n".join(lines[start : end + 1]).removeprefix("pgsandbox.errors.")


def message_of(error: Exception) -> str:
    """The message of *error* as pytest prints it."""
    return f"{type(error).__name__}: {error}"


def report_in(section: str) -> str:
    """What stands below the traceback of a failing test's *section*: what PostgreSQL saw."""
    heading, _, rest = section.rpartition(" what PostgreSQL saw ")
    seen = re.split(r"^pgsandbox: \d+ tests? used", rest, flags=re.MULTILINE)[0]
    return f"{heading.splitlines()[-1]} what PostgreSQL saw {seen}".strip()


def failure_in(section: str) -> str:
    """The end of a failing test's *section*: its own line in the project, and why it failed.

    What lies between them in other people's packages is left out, and how pytest takes the
    assertion apart.
    """
    report = re.split(r"^-+ .* -+$", section, maxsplit=1, flags=re.MULTILINE)[0]
    lines = report.strip().splitlines()
    own = max(n for n, line in enumerate(lines) if line.startswith("tests/"))
    reasons = [n for n, line in enumerate(lines) if line.startswith("E  ")]
    first = max(n for n in reasons if n - 1 not in reasons)
    why = [lines[n] for n in reasons if n >= first]
    shown = [line for line in why if not re.match(r"E +\+ +(where|and) ", line)]
    return "\n".join([*lines[own : own + 2], *shown])
