"""Play every behaviour and random programs on both sides, and print what differs.

::

    python -m tests.kit.differential                          everything
    python -m tests.kit.differential -k "copy or notify"      some, by pytest's -k
    python -m tests.kit.differential --programs 500 --seed 7  more programs, and others
    python -m tests.kit.differential --twice-real             real connections on both sides
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
from pathlib import Path

from tests.kit.differential.comparing import Verdict, table
from tests.kit.differential.playing import Stage


def main() -> int:
    """Return 0 if nothing differs silently, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.kit.differential")
    parser.add_argument("-k", default="", help="play only these, as pytest selects")
    parser.add_argument("--programs", type=int, default=100, help="how many random programs")
    parser.add_argument("--seed", type=int, default=1, help="the first program's seed")
    parser.add_argument("--patience", type=float, default=30.0, help="seconds before a test hangs")
    parser.add_argument("--twice-real", action="store_true", help="both sides on real connections")
    parser.add_argument("--all", action="store_true", help="name what is refused and limited, too")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(io.StringIO()),  # what the runs said
    ):
        arguments = [f"--programs={options.programs}", f"--seed={options.seed}"]
        compared = Stage(Path(folder), options.patience).compared(
            *arguments,
            *(["-k", options.k] if options.k else []),
            first="clone" if options.twice_real else "sandbox",
        )
    named = {Verdict.DIFFERENT, Verdict.UNREAL}
    if options.all:
        named |= {Verdict.REFUSED, Verdict.LIMITED}
    for each in compared:
        if each.verdict in named:
            print(each)
    print(f"\n{table(compared)}")
    return int(any(each.verdict in (Verdict.DIFFERENT, Verdict.UNREAL) for each in compared))


if __name__ == "__main__":
    sys.exit(main())
