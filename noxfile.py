# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "nox>=2026.10.20",
#     "poetry>=2.5,<3",
#     "poetry-plugin-export>=1.10",
#     "uv>=0.13",
# ]
#
# [tool.nox]
# script-download-python = "never"
# ///
"""The project's sessions, for a machine that has Python 3.11 or later, git and nothing else.

``pip install nox && nox -s integration`` is enough: Nox reads the header above and makes an
environment with these tools for itself. Each session then installs exactly what poetry.lock says,
hashes included, and the wheel of this checkout::

    nox -s integration                      the application's tests, on a real PostgreSQL
    nox -s integration -- -k persistence    words after -- go to pytest
    nox -s all                              everything that must pass

``nox --list`` shows every session.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

import nox

nox.needs_version = ">=2026.10.20"
nox.options.default_venv_backend = "uv"
nox.options.download_python = "never"
nox.options.error_on_external_run = True
nox.options.error_on_missing_interpreters = False  # nox -s matrix: what isn't there is skipped
nox.options.reuse_venv = "yes"  # each session brings its environment back to the lock first
nox.options.sessions = ["all"]

# uv brings certificates of its own; behind a proxy only the machine's are right, as for pip.
os.environ.setdefault("UV_SYSTEM_CERTS", "1")
# Once, when it installs: with PYTHONDONTWRITEBYTECODE each process of the tests would compile anew.
os.environ.setdefault("UV_COMPILE_BYTECODE", "1")

ROOT = Path(__file__).parent
SOURCES = ROOT / "src"
QUICKSTART = ROOT / "tests" / "examples" / "quickstart"

UNIT_TESTS = ("tests/unit", "tests/kit/unit")
APPLICATION_TESTS = ("tests/integration",)
KIT_TESTS = ("tests/kit/integration",)
FORKED = (*KIT_TESTS, "tests/kit/unit/cli/init")

KEEPING_BYTECODE: dict[str, str | None] = {"PYTHONDONTWRITEBYTECODE": None}
"""What lets pytest's workers share the modules whose assertions one of them has rewritten."""
FOR_TESTS = ("--with", "test", "--all-extras")
"""What ``poetry export`` selects for a session that runs the tests."""


@nox.session(
    name="all",
    requires=["lint", "typecheck", "docs", "package", "tests"],
    venv_backend="none",
)
def everything(session: nox.Session) -> None:
    """Everything that must pass: lint, types, the site, the wheel, all tests."""
    session.log("lint, typecheck, docs, package and tests passed")


@nox.session
def tests(session: nox.Session) -> None:
    """Every test but the nightly ones, with what they touch of the application's schema."""
    install(session, *FOR_TESTS)
    install_checkout(session)
    words = ("--pg-coverage", *workers(), "-m", "not nightly", *session.posargs)
    session.run("pytest", *words, env=KEEPING_BYTECODE)


@nox.session
def unit(session: nox.Session) -> None:
    """The unit tests, which can't open a database; on workers unless words say what to run."""
    install(session, *FOR_TESTS)
    install_checkout(session)
    all_of_them = () if session.posargs else (*workers(1), "-m", "not nightly")
    words = (*all_of_them, *selection(session, UNIT_TESTS))
    session.run("pytest", *words, env=KEEPING_BYTECODE)


@nox.session
def integration(session: nox.Session) -> None:
    """The reference application's integration tests on a real PostgreSQL."""
    install(session, *FOR_TESTS)
    install_checkout(session)
    session.run("pytest", *selection(session, APPLICATION_TESTS))


@nox.session
def coverage(session: nox.Session) -> None:
    """The same tests, with branch coverage over kit and application and the threshold for it.

    Coverage looks at all that they start, which takes half as long again: so it is not part of
    ``all``, but of ``nightly``. The plugin is imported before pytest-cov could begin to measure, so
    coverage.py starts pytest here. Its patch for subprocesses measures xdist's workers, and the
    programs that tests run.
    """
    install(session, *FOR_TESTS)
    install_checkout(session)
    session.run("coverage", "erase")
    # This names each module, so that one which no test imports counts with all its lines.
    session.run("coverage", "run", "--source=src", "-m", "pgsandbox", "--version", silent=True)
    words = (*workers(), "-m", "not nightly", *session.posargs)
    session.run("coverage", "run", "-m", "pytest", *words, env=KEEPING_BYTECODE)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session(python=["3.11", "3.12", "3.13"])
@nox.parametrize(
    "sqlalchemy",
    [nox.param("2.0.58", id="sqlalchemy-2.0"), nox.param("2.1.9", id="sqlalchemy-2.1")],
)
def matrix(session: nox.Session, sqlalchemy: str) -> None:
    """The kit's and the application's integration tests on every supported combination."""
    install(session, *FOR_TESTS)
    install_checkout(session)
    session.install(f"sqlalchemy=={sqlalchemy}")
    session.run("pytest", *selection(session, (*KIT_TESTS, *APPLICATION_TESTS)))


@nox.session
def nightly(session: nox.Session) -> None:
    """What ``all`` leaves out: the same tests in other orders, on workers, on older servers.

    Then the tests that run pytest in a project, each run with an interpreter of its own: in ``all``
    they are forks of one that has made its imports. Then coverage, and every page of the site.
    """
    install(session, *FOR_TESTS)
    install_checkout(session)
    session.run("pytest", *workers(), "-m", "nightly", *session.posargs, env=KEEPING_BYTECODE)
    words = ("-m", "not nightly", *FORKED, *session.posargs)
    session.run("pytest", *workers(), *words, env={**KEEPING_BYTECODE, "KIT_TESTS_FRESH": "1"})
    session.notify("coverage", [])
    session.notify("docs", ["nightly"])


@nox.session
def crash(session: nox.Session) -> None:
    """Runs and servers killed at random instants, and runs that crowd one server; 30 minutes.

    ``nox -s crash -- --rounds 10`` for less. A short version is among the tests.
    """
    install(session, *FOR_TESTS)
    install_checkout(session)
    session.run("python", "-m", "tests.kit.crash", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff's rules and format, the layers of the imports, and a lock that fits pyproject.toml."""
    install(session, "--only", "lint")
    poetry(session, "check", "--lock", "--strict")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports", env={"PYTHONPATH": str(SOURCES)})
    session.run("python", "-m", "pgsandbox", "lint", env={"PYTHONPATH": str(SOURCES)})


@nox.session
def typecheck(session: nox.Session) -> None:
    """Mypy, strict, over the kit, the application and this file."""
    # Mypy reads sources, and imports nothing but itself, which is compiled.
    install(session, "--with", "test,typing", "--all-extras", env={"UV_COMPILE_BYTECODE": "0"})
    session.run("mypy", "--num-workers=2")


@nox.session
def docs(session: nox.Session) -> None:
    """The site, built strictly and opened in a browser; ``-- serve`` shows it while you write.

    ``-- nightly`` opens every page; else one of those that have the same form will do. The browser
    is the machine's own Chromium; where there is none, its tests say so and skip.
    """
    install(session, "--only", "docs")
    is_served = session.posargs == ["serve"]
    # The theme's end in 2027 is known: the site keeps to what its successor can read.
    quietly: dict[str, str | None] = {"NO_MKDOCS_2_WARNING": "1"}
    session.run("mkdocs", "serve" if is_served else "build", "--strict", env=quietly)
    if not is_served:
        session.run("python", "-m", "tests.kit.unit.docs.for_agents", "site")
        # With a space, pytest would look for its configuration above both directories.
        pages = () if session.posargs == ["nightly"] else ("-m", "not nightly")
        session.run("pytest", "tests/site", "--built=site", *pages)


@nox.session
def bench(session: nox.Session) -> None:
    """What the kit costs beside other ways, in one run; ``-- --short`` or ``-- --record``."""
    install(session, "--with", "test,bench", "--all-extras")
    install_checkout(session)
    session.run("python", "-m", "bench", *session.posargs)


@nox.session
def package(session: nox.Session) -> None:
    """The wheel holds the kit and nothing else, and serves a project outside the checkout."""
    wheel = built_wheel(session)
    check_contents(session, wheel)
    install(session, "--extras", "embedded")
    # Not --no-deps here: with no index to ask, this fails if the wheel needs what the lock lacks.
    session.run_install(
        "uv", "pip", "install", "--quiet", "--no-cache", "--no-index", f"{wheel}[embedded]"
    )
    run_outside(session, QUICKSTART)


@nox.session
def oldest(session: nox.Session) -> None:
    """The oldest versions that the wheel admits of what it needs serve projects outside of here.

    They stand in no lock: these are the projects that nobody has updated for years. Then come the
    kit's own tests of what fails, since pytest takes other ways there. Those of asynchronous
    projects are not among them: they configure what pytest-asyncio has from 0.24 on, and that needs
    pytest 8.2.
    """
    lowest = ("--resolution", "lowest-direct", "--all-extras", "--requirements", "pyproject.toml")
    session.run_install("uv", "pip", "install", "--quiet", *lowest)
    session.run_install("uv", "pip", "install", "--quiet", "--no-deps", str(built_wheel(session)))
    session.run("uv", "pip", "list", "--quiet", external=True)
    for name in ("quickstart", "library", "flask"):
        run_outside(session, QUICKSTART.with_name(name), "--pg-server=embedded")
    # pluggy passes over a hook, before 1.4, where a plugin is registered within pytest_configure:
    # so is ours where a conftest loads it, as this repository's does.
    tools = ("pytest<8", "pluggy>=1.4", "pytest-asyncio", "pytest-randomly", "pytest-xdist")
    session.run_install("uv", "pip", "install", "--quiet", *tools)
    plugin = ROOT / "tests" / "kit" / "integration" / "plugin"
    modules = [str(plugin / f"test_{name}.py") for name in ON_THE_OLDEST]
    with tempfile.TemporaryDirectory(prefix="pgsandbox-") as elsewhere:
        settings = Path(elsewhere, "oldest.ini")
        # Not the project's own, which are for the versions of the lock.
        settings.write_text(
            "[pytest]\naddopts = -pno:pgsandbox\nmarkers =\n    nightly: in the night\n"
        )
        where = (f"--config-file={settings}", f"--rootdir={ROOT}", f"--confcutdir={ROOT}")
        session.run("pytest", *where, "-q", "-m", "not nightly", *modules)


ON_THE_OLDEST = (
    *("hidden_fixtures", "newcomers", "own_preparations"),
    *("refused_connections", "reports", "scopes"),
)
"""The modules of the plugin's tests that run with the oldest versions, too."""


def run_outside(session: nox.Session, example: Path, *words: str) -> None:
    """Run the tests of *example* in a copy outside of the checkout."""
    with tempfile.TemporaryDirectory(prefix="pgsandbox-") as elsewhere:
        project = Path(elsewhere, example.name)
        shutil.copytree(example, project)
        with session.chdir(project):
            session.run("pytest", *words)


@nox.session(venv_backend="none")
def dev(session: nox.Session) -> None:
    """A .venv that is exactly the lock, for ``poetry run pytest`` and your editor."""
    environment = ROOT / ".venv"
    if Path(sys.prefix) == environment:
        session.error("This Nox runs in the .venv it would replace; use one from elsewhere.")
    requirements = exported(session, "--all-groups", "--all-extras")
    uv = (sys.executable, "-m", "uv")
    python = str(environment / "bin" / "python")
    session.run(*uv, "venv", "--quiet", "--allow-existing", str(environment), external=True)
    session.run(
        *uv, "pip", "sync", "--quiet", "--require-hashes", "--python", python, str(requirements),
        external=True,
    )  # fmt: skip
    poetry(session, "install", "--only-root", env={"VIRTUAL_ENV": str(environment)})


def workers(on_each_core: int = 2) -> tuple[str, ...]:
    """How pytest-xdist divides the tests: two workers a core, where they wait half of the time.

    The tests of one module stay together, because they share projects.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return "-n", str(on_each_core * (cores or 1)), "--dist", "loadfile", "--no-loadscope-reorder"


def selection(session: nox.Session, default: tuple[str, ...]) -> list[str]:
    """The words after ``--`` for pytest, with *default* in front unless they name tests."""
    names_tests = any(Path(word.partition("::")[0]).exists() for word in session.posargs)
    return [*session.posargs] if names_tests else [*default, *session.posargs]


def install(session: nox.Session, *what: str, env: dict[str, str | None] | None = None) -> None:
    """Make the session's environment exactly what the lock says for *what*."""
    words = ("--quiet", "--require-hashes", str(exported(session, *what)))
    session.run_install("uv", "pip", "sync", *words, env=env)


def install_checkout(session: nox.Session) -> None:
    """Install the kit as its users get it, from a wheel, and put the application beside it.

    The application is in no wheel. A path file comes after site-packages on ``sys.path``, where
    the pgsandbox next to the application in src can't hide the installed one.
    """
    wheel = built_wheel(session)
    session.run_install("uv", "pip", "install", "--quiet", "--no-cache", "--no-deps", str(wheel))
    purelib = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site_packages = session.run("python", "-c", purelib, silent=True, log=False)
    Path(str(site_packages).strip(), "checkout.pth").write_text(f"{SOURCES}\n")


def exported(session: nox.Session, *what: str) -> Path:
    """The locked requirements for *what*, with hashes; written once per state of the lock."""
    state = hashlib.sha256(" ".join(what).encode())
    for name in ("poetry.lock", "pyproject.toml"):
        state.update((ROOT / name).read_bytes())
    requirements = session.cache_dir.resolve() / f"requirements-{state.hexdigest()[:16]}.txt"
    if not requirements.exists():
        unfinished = requirements.with_suffix(f".{session.name}")
        poetry(session, "export", *what, "--output", str(unfinished))
        unfinished.replace(requirements)
    return requirements


def built_wheel(session: nox.Session) -> Path:
    """The wheel of this checkout, built anew because its sources may have changed."""
    directory = session.env_dir.resolve() / "wheel"
    shutil.rmtree(directory, ignore_errors=True)
    poetry(session, "build", "--quiet", "--format", "wheel", "--output", str(directory))
    (wheel,) = directory.glob("*.whl")
    return wheel


def check_contents(session: nox.Session, wheel: Path) -> None:
    """Abort unless *wheel* holds src/pgsandbox, whole, and nothing else but its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    kit = {
        file.relative_to(SOURCES).as_posix()
        for file in (SOURCES / "pgsandbox").rglob("*")
        if file.is_file() and file.suffix != ".pyc"
    }
    if packed != kit:
        session.error(f"In only one of wheel and src/pgsandbox: {sorted(packed ^ kit)}")
    session.log(f"{wheel.name}: {len(packed)} files, all of them pgsandbox")


def poetry(session: nox.Session, *command: str, env: dict[str, str | None] | None = None) -> None:
    """Run the Poetry that stands beside this Nox, whatever else the machine has."""
    session.run(sys.executable, "-m", "poetry", *command, env=env, external=True)
