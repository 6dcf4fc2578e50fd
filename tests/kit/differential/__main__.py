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
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.kit.differential.comparing import Compared, Verdict, table
from tests.kit.differential.playing import Stage
from tests.kit.integration.recorded import EXAMPLES


def main() -> int:
    """Return 0 if nothing differs silently, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.kit.differential")
    parser.add_argument("-k", default="", help="play only these, as pytest selects")
    parser.add_argument("--programs", type=int, default=100, help="how many random programs")
    parser.add_argument("--seed", type=int, default=1, help="the first program's seed")
    parser.add_argument("--patience", type=float, default=20.0, help="seconds before a test hangs")
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
    _print(compared, is_whole=options.all)
    return int(any(each.verdict in (Verdict.DIFFERENT, Verdict.UNREAL) for each in compared))


def _print(compared: list[Compared], *, is_whole: bool) -> None:
    named = {Verdict.DIFFERENT, Verdict.UNREAL}
    if is_whole:
        named |= {Verdict.REFUSED, Verdict.LIMITED}
    for each in compared:
        if each.verdict in named:
            program = f"\n{_program(each.name)}" if each.area == "programs" else ""
            print(f"{each}{program}")
    print(f"\n{table(compared)}\n")
    refusals = Counter(each.why for each in compared if each.verdict is Verdict.REFUSED)
    for name, count in refusals.most_common():
        print(f"{count:>5} refused by {name}")
    ends = Counter(each.end for each in compared if each.end)
    for name, count in ends.most_common():
        print(f"{count:>5} whose test ends with {name}")


def _program(name: str) -> str:
    """Return the steps of the program of that name, as its own project writes them."""
    seed = name.partition(".")[2]
    script = f"from programs import program; print(program({seed}))"
    project = EXAMPLES / "behaviours"
    return subprocess.check_output([sys.executable, "-c", script], cwd=project, text=True)


if __name__ == "__main__":
    sys.exit(main())
