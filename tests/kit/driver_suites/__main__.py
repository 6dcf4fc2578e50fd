"""Run the drivers' own suites on real connections and through the endpoint, print what differs.

Nothing is fetched: the suites are those of checkouts, or of unpacked source distributions, and the
drivers those of an environment made for it, whose versions should be the checkouts'::

    uv venv suites && uv pip install --python suites pytest anyio greenlet sqlalchemy asyncpg \
        psycopg2-binary 'psycopg[binary,pool]'
    python -m tests.kit.driver_suites --python suites/bin/python --results results \
        --psycopg2 PATH --psycopg PATH --asyncpg PATH --sqlalchemy PATH

SQLAlchemy's suite needs a server that has the extensions hstore and citext, which the embedded one
does not: ``--binaries /usr/lib/postgresql/15/bin``. Runs that the folder of results holds are not
repeated, so the table can be had again, and a suite that was broken off goes on.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.kit.driver_suites.outcomes import Comparison, Outcomes, compare, read
from tests.kit.driver_suites.report import report
from tests.kit.driver_suites.running import Runner
from tests.kit.driver_suites.suites import SUITES, Suite
from tests.kit.driver_suites.targets import TARGETS


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if nothing differs, else 1."""
    options = _parser().parse_args(arguments)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell lets its background jobs ignore it, and psycopg's suite interrupts its children.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    options.results.mkdir(parents=True, exist_ok=True)
    runner = Runner(
        options.python.absolute(),
        options.results.absolute(),
        options.binaries,
        tuple(options.setting),
        options.limit,
        words=tuple(options.word),
    )
    comparisons = [
        _compared(suite, checkout, runner, options) for suite, checkout in _chosen(options)
    ]
    print(report(comparisons))
    return int(any(each.differences for each in comparisons))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.kit.driver_suites",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for project in dict.fromkeys(suite.project for suite in SUITES):
        parser.add_argument(f"--{project}", type=Path, metavar="PATH", help="its checkout")
    parser.add_argument("--python", type=Path, default=Path(sys.executable))
    parser.add_argument("--results", type=Path, required=True, help="a folder, not the repository")
    parser.add_argument("--suite", action="append", help="this one alone; may be repeated")
    parser.add_argument("--target", choices=TARGETS, action="append", help="both by default")
    parser.add_argument("--real-runs", type=int, default=2, help="to see what is unsteady anyway")
    parser.add_argument("--endpoint-runs", type=int, default=1)
    parser.add_argument("--binaries", type=Path, help="the folder of PostgreSQL's programs")
    parser.add_argument("--setting", action="append", default=[], help="of the server: NAME=VALUE")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds for one test")
    parser.add_argument("--word", action="append", default=[], help="for pytest: --word=-x")
    return parser


def _chosen(options: argparse.Namespace) -> Iterator[tuple[Suite, Path]]:
    for suite in SUITES:
        checkout = getattr(options, suite.project)
        if checkout is not None and (not options.suite or suite.name in options.suite):
            yield suite, checkout


def _compared(
    suite: Suite, checkout: Path, runner: Runner, options: argparse.Namespace
) -> Comparison:
    runs = {"real": options.real_runs, "endpoint": options.endpoint_runs}
    outcomes: dict[str, list[Outcomes]] = {}
    for target in options.target or TARGETS:
        outcomes[target] = []
        for number in range(1, runs[target] + 1):
            began = time.monotonic()
            outcomes[target].append(read(runner.run(suite, checkout, target, number)))
            _tell(suite, target, number, len(outcomes[target][-1]), time.monotonic() - began)
    return compare(suite.name, outcomes.get("real", []), outcomes.get("endpoint", []))


def _tell(suite: Suite, target: str, number: int, tests: int, seconds: float) -> None:
    said = f"{suite.name}, {target}, run {number}: {tests} tests, {seconds:.0f} s"
    print(said, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
