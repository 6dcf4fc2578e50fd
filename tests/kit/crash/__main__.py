"""Kill runs, their workers and their server at random instants, and print what came of it.

::

    python -m tests.kit.crash                       100 rounds, or as many as 20 minutes allow
    python -m tests.kit.crash --rounds 10 --seed 7
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
import time
from pathlib import Path

from tests.kit.crash.rounds import CASES, Round, harness, table


def main() -> int:
    """Return 0 if every next run was green and nothing is left, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.kit.crash")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=20.0, help="when to stop, finished or not")
    options = parser.parse_args()
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
    return int(any(each.problem for each in rounds) or not rounds)


if __name__ == "__main__":
    sys.exit(main())
