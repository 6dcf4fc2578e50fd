"""Crowd a server with runs, kill runs and servers at random instants, print what came of it.

::

    python -m tests.kit.crash                       8 runs at once; then 100 rounds in 30 minutes
    python -m tests.kit.crash --rounds 10 --seed 7  fewer rounds, of other instants
    python -m tests.kit.crash --runs 0              rounds alone
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
import time
from pathlib import Path

from tests.kit.crash.crowd import gather
from tests.kit.crash.rounds import CASES, Round, harness, table
from tests.kit.external import external_server


def main() -> int:
    """Return 0 if every run that should be green was, and nothing is left; else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.kit.crash")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=30.0, help="when to stop, finished or not")
    parser.add_argument("--runs", type=int, default=8, help="how many run at once")
    options = parser.parse_args()
    has_failed = _crowd(options.runs) if options.runs else False
    return int(_rounds(options) or has_failed) if options.rounds else int(has_failed)


def _crowd(runs: int) -> bool:
    with (
        tempfile.TemporaryDirectory() as folder,
        external_server(None, "max_connections=100") as external,
        contextlib.redirect_stdout(io.StringIO()),
    ):
        crowd = gather(external, Path(folder), runs, workers=2)
    for member in crowd.members:
        if member.code:
            print(member.text, file=sys.stderr)
    print(f"{crowd.table()}\n", flush=True)
    return not crowd.is_green


def _rounds(options: argparse.Namespace) -> bool:
    deadline = time.monotonic() + options.minutes * 60
    rounds: list[Round] = []
    with tempfile.TemporaryDirectory() as folder, harness(options.seed, Path(folder)) as crashes:
        while len(rounds) < options.rounds and time.monotonic() < deadline:
            case = CASES[len(rounds) % len(CASES)]
            with contextlib.redirect_stdout(io.StringIO()):  # what the runs said
                rounds.append(crashes.round(case))
            last = rounds[-1]
            said = f"{len(rounds):>4}  {last.case} after {last.instant:.2f} s"
            print(f"{said}: {last.problem or 'all is well'}", file=sys.stderr, flush=True)
    print(f"seed {options.seed}, {len(rounds)} of {options.rounds} rounds\n\n{table(rounds)}")
    return any(each.problem for each in rounds) or not rounds


if __name__ == "__main__":
    sys.exit(main())
