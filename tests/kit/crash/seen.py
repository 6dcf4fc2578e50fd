"""What a run has on the machine, seen from outside: its processes, its server, what is left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, fields
from pathlib import Path

from pgsandbox.servers import places
from pgsandbox.servers.binaries import find
from pgsandbox.servers.embedded import key_of
from pgsandbox.servers.instance import Instance
from pgsandbox.servers.server import Server
from tests.kit.integration.plugin.projects import Project

PRIVATE = places.bases()[0] / f"pgsandbox-{os.geteuid()}"
_EXECNET = "exec(eval(sys.stdin.readline()))"
"""How execnet, and with it pytest-xdist, starts a worker."""
_OWN_DATABASES = "select datname from pg_database where starts_with(datname, %s) order by 1"


@dataclass(frozen=True)
class Process:
    """One process, as /proc shows it."""

    pid: int
    """Its id."""
    command: str
    """Its command line, or the title that it gave itself."""
    folder: str
    """Its working directory."""


@dataclass
class Remains:
    """What dead runs left, each as the names of what it is."""

    databases: list[str] = field(default_factory=list)
    """Databases of the project."""
    processes: list[str] = field(default_factory=list)
    """Processes of PostgreSQL, of watchdogs, and of the runs themselves."""
    folders: list[str] = field(default_factory=list)
    """Data directories and the folders around them."""
    sockets: list[str] = field(default_factory=list)
    """Unix sockets."""
    memory: list[str] = field(default_factory=list)
    """System V segments, which the kernel keeps until reboot."""
    files: list[str] = field(default_factory=list)
    """Half-made entries of the cache."""

    def __bool__(self) -> bool:
        """Whether anything is left."""
        return any(self.counts().values())

    def counts(self) -> dict[str, int]:
        """How much of each is left."""
        return {each.name: len(getattr(self, each.name)) for each in fields(self)}


class Machine:
    """The part of the machine that the runs of one project use."""

    def __init__(self, project: Project, cache: Path, given: Server | None) -> None:
        """Look after the runs of *project*, with *cache*, on the server *given* or on their own."""
        self.project = project
        self.cache = cache
        self.given = given
        self._key = key_of(find(None), (cache / "pgsandbox").resolve())
        self._segments: set[str] = set()

    def instances(self) -> list[Instance]:
        """The embedded servers of these runs."""
        return [Instance(folder) for folder in sorted(PRIVATE.glob(f"{self._key}-*"))]

    def look(self) -> None:
        """Note which shared memory the servers of these runs have: nothing else tells whose it is.

        Their dynamic shared memory is files of the data directory.
        """
        for instance in self.instances():
            try:
                noted = (instance.data / "postmaster.pid").read_text().splitlines()[6].split()
            except (OSError, IndexError):
                continue
            self._segments.update(noted[1:])

    def pid_of(self, victim: str, controller: int) -> int | None:
        """The process id of *victim*, or None while there is none."""
        if victim == "controller":
            return controller
        if victim == "worker":
            workers = [each for each in children(controller) if _EXECNET in each.command]
            return workers[-1].pid if workers else None
        for instance in self.instances():
            pid = _first_number(instance.watchdog)
            if victim != "watchdog":
                pid = _first_number(instance.data / "postmaster.pid")
            if victim == "backend" and pid:
                backends = [each for each in children(pid) if self.project.name in each.command]
                pid = backends[-1].pid if backends else None
            return pid
        return None

    def remains(self) -> Remains:
        """What is there now, when no run is."""
        return Remains(
            databases=self._databases(),
            processes=[f"{each.pid} {each.command}" for each in processes() if self._is_ours(each)],
            folders=[str(each.folder) for each in self.instances()],
            sockets=[str(path) for path in PRIVATE.glob(f"{self._key}-*/run/.s.*")],
            memory=sorted(self._segments & _segments()),
            files=[str(path) for path in self.cache.glob("pgsandbox/new-*")],
        )

    def _is_ours(self, process: Process) -> bool:
        below = f"{PRIVATE}/{self._key}-"
        own = str(self.project.path)
        return (
            process.folder.startswith((below, own))
            or below in process.command
            or own in process.command
        )

    def _databases(self) -> list[str]:
        if self.given is None:
            return []
        with closing(self.given.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(_OWN_DATABASES, (self.project.name,))
            return [name for (name,) in cursor.fetchall()]


def processes() -> Iterator[Process]:
    """All processes but zombies."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            place = str((folder / "cwd").readlink())
        except OSError:
            continue
        if state not in "ZX":
            yield Process(int(folder.name), command, place)


def children(pid: int) -> list[Process]:
    """The living children of a process."""
    listed = set()
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            listed.update(int(each) for each in file.read_text().split())
        except OSError:
            continue
    return [each for each in processes() if each.pid in listed]


def _first_number(file: Path) -> int | None:
    try:
        return int(file.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _segments() -> set[str]:
    """The ids of all System V segments of shared memory."""
    rows = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    return {row.split()[1] for row in rows}
