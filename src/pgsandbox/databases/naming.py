"""What a test database is called: pure rules, so that a name can be told before a server is there.

A name is a stem, parts that tell runs and workers apart, and the ending ``_test``, which
applications check before they let a test near a database::

    claude_headspace _gw0 _2 _test
    stem             |    |  ending
                     |    attempt: the second, since the first name was taken
                     worker of pytest-xdist
"""

from __future__ import annotations

import hashlib

from pgsandbox.guard import LONGEST_NAME

ENDING = "_test"
NAMELESS = "pgsandbox"
"""The stem where the application's database has no name."""

_DIGEST_LENGTH = 8
_ADDRESS_LENGTH = 16


def test_name(application: str | None, worker: str | None = None, attempt: int = 1) -> str:
    """The name of the test database that belongs to the application's database *application*.

    It ends in ``_test``, once, and is at most 63 bytes long: PostgreSQL would cut a longer one
    without an error, and two that differ at the end would be one. A stem that is too long gives its
    end up for a digest of the whole name. *attempt* counts from 1, which adds nothing to the name.
    """
    stem = _storable(application or "") or NAMELESS
    return _fitted(stem.removesuffix(ENDING), _parts(worker, attempt), ENDING)


def exact_name(wanted: str, worker: str | None = None, attempt: int = 1) -> str:
    """The name *wanted* itself for the first attempt without a worker, and derived from it else.

    The parts for a worker and a further attempt stand before a final ``_test`` if there is one,
    and at the end otherwise. A name over 63 bytes is shortened as in `test_name`.
    """
    stem = _storable(wanted)
    if not stem:
        return test_name(None, worker, attempt)
    ending = ENDING if stem.endswith(ENDING) else ""
    return _fitted(stem.removesuffix(ending), _parts(worker, attempt), ending)


def template_name(application: str | None, address: str) -> str:
    """The name of the template at *address*, a digest; *application* is there for people."""
    stem = _storable(application or "") or NAMELESS
    return _fitted(stem.removesuffix(ENDING), f"_{address[:_ADDRESS_LENGTH]}", "_template")


def fits(name: str) -> bool:
    """Whether PostgreSQL stores *name* as it is: not empty, no NUL, at most 63 bytes of UTF-8."""
    return bool(name) and name == _storable(name) and len(name.encode()) <= LONGEST_NAME


def _storable(name: str) -> str:
    """*name* without what no database name can contain: NUL, and halves of surrogate pairs."""
    return name.replace("\0", "").encode("utf-8", "replace").decode()


def _parts(worker: str | None, attempt: int) -> str:
    numbered = [_storable(worker or ""), str(attempt) if attempt > 1 else ""]
    return "".join(f"_{part}" for part in numbered if part)


def _fitted(stem: str, parts: str, ending: str) -> str:
    """*stem*, *parts* and *ending* in at most 63 bytes; the stem is cut first, then the parts."""
    whole = f"{stem}{parts}{ending}"
    if len(whole.encode()) <= LONGEST_NAME:
        return whole
    digest = hashlib.sha256(whole.encode()).hexdigest()[:_DIGEST_LENGTH]
    kept_ending = f"_{digest}{parts}{ending}"
    room = LONGEST_NAME - len(kept_ending.encode())
    if room < 1:
        kept_ending = f"_{digest}{ending}"
        room = LONGEST_NAME - len(kept_ending.encode())
    return stem.encode()[:room].decode(errors="ignore") + kept_ending
