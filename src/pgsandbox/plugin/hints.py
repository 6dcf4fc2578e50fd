"""What experience knows of a failure: why it looks as it does in a sandboxed test.

Each hint asks for more than one sign, since a wrong one costs more time than none.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import linecache
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pgsandbox.plugin.failure_report import Transaction
    from pgsandbox.sandbox.statement_places import StatementPlaces

_EQUAL_TO_ONE = re.compile(r"assert (?:(\d+) == 1\b|1 == (\d+)\b)(?!\.)")
_OF_IDS = re.compile(r"(?:\b|_)(?:ids?|pk)\b", re.IGNORECASE)
_COUNTS = re.compile(r"\b(?:count|len|sum|max)\s*\(", re.IGNORECASE)
_COMPARES_TIMES = re.compile(r"datetime\.|timedelta|\b0(?:\.0)? [<>!]|[<>!]=? 0(?:\.0)?\b")
_NOW = r"(?:(?:now|transaction_timestamp)\s*\(\s*\)|current_timestamp|localtimestamp)"
_OLDER_THAN_NOW = re.compile(
    rf"<=?\s*\(*\s*{_NOW}"
    rf"|{_NOW}\s*(?:[-+](?:(?!\b(?:where|from|and|or)\b)[^<>=,;])*)?>",
    re.IGNORECASE,
)
_INSERTS = re.compile(r"\bINSERT\s+INTO\b", re.IGNORECASE)
_LOCKS = re.compile(
    r"\bFOR\s+(?:NO\s+KEY\s+)?(?:UPDATE|SHARE|KEY\s+SHARE)\b|\A\s*LOCK\b", re.IGNORECASE
)
_SNAPSHOTS = re.compile(r"\bISOLATION\s+LEVEL\s+(SERIALIZABLE|REPEATABLE\s+READ)\b", re.IGNORECASE)
_ASSERTION = re.compile(r"^assert .*", re.MULTILINE)
_EXPECTS_NOTHING = re.compile(
    r"(?:==|\bis) (?:None\b|\[\]|\(\)|\{\}|set\(\))|\bnot (?:in )?[\[({<\d'\"]"
)
_CLONE = '@pytest.mark.pgsandbox(isolation="clone")'


def of(
    failure: BaseException,
    story: Mapping[str, Any],
    transactions: Sequence[Transaction],
    places: StatementPlaces,
    *,
    restarts_sequences: bool,
    moves_clock: bool,
) -> Iterator[str]:
    """Yield what may explain *failure*, given the *story* that the endpoint tells."""
    frame = _innermost(failure, places)
    yield from _time_stands_still(failure, story, frame)
    if not moves_clock:
        yield from _nothing_is_older(failure, transactions)
    if not restarts_sequences:
        yield from _id_is_not_one(failure, story, frame)
    seen_too_early = [*_nobody_else_sees_it(failure, story)]
    # What was read was there then, whatever became of it since.
    yield from seen_too_early or _nothing_committed_it(failure, transactions, places)
    yield from _lock_is_not_waited_for(failure, transactions)
    yield from _no_snapshot(failure, story)


def _time_stands_still(
    failure: BaseException, story: Mapping[str, Any], frame: Any
) -> Iterator[str]:
    if frame is None or story["now"] is None or not _is_comparison(failure, _COMPARES_TIMES):
        return
    now = dt.datetime.fromisoformat(story["now"])
    same = [each for each in _times_in(frame) if each in (now, now.replace(tzinfo=None))]
    if len(same) > 1:
        yield (
            "now() stands still within a test, so times that the database has set are equal. "
            "Set them in the test, or let a factory do so."
        )


def _nothing_is_older(failure: BaseException, transactions: Sequence[Transaction]) -> Iterator[str]:
    if not isinstance(failure, AssertionError):
        return
    has_written = False
    for each in transactions:
        for one in each.statements if has_written else ():
            if one["tag"].endswith(" 0") and _OLDER_THAN_NOW.search(one["text"]):
                yield (
                    "now() stands still within a test, so no row whose time the database has set "
                    "in it is older than now(), and a query that looks for such rows found none. "
                    'With clock = "moving" each transaction has a time of its own.'
                )
                return
        wrote = [*each.writes, *(one for one in each.statements if _INSERTS.search(one["text"]))]
        has_written = has_written or any(not one["is_undone"] for one in wrote)


def _id_is_not_one(failure: BaseException, story: Mapping[str, Any], frame: Any) -> Iterator[str]:
    found = _EQUAL_TO_ONE.search(_words(failure))
    if frame is None or found is None:
        return
    number = int(found[1] or found[2])
    given = [name for name, last in story["sequences"].items() if last >= number > 1]
    has_inserted = any(each["tag"].startswith("INSERT") for each in story["statements"])
    words = _words_of(failure, frame)
    if given and has_inserted and _OF_IDS.search(words) and not _COUNTS.search(words):
        yield (
            "sequences are not rolled back, so earlier tests have taken number 1. Compare with the "
            "object's own id, or set restart-sequences = true."
        )


def _nothing_committed_it(
    failure: BaseException, transactions: Sequence[Transaction], places: StatementPlaces
) -> Iterator[str]:
    if not isinstance(failure, AssertionError) and type(failure).__name__ != "NoResultFound":
        return
    for each in transactions:
        refused = any(one["error"] for one in each.statements)
        writes = [one for one in each.writes if not one["is_undone"]]
        if each.is_arranging or each.outcome != "rolled back" or refused or not writes:
            continue
        place = places.of(writes[0]["token"], writes[0]["at"])
        where = f" of {place}" if place is not None else ""
        yield (
            f"the rows{where} were rolled back, since nothing had committed them when their "
            "connection was given back or rolled back: nobody else sees them."
        )
        return


def _nobody_else_sees_it(failure: BaseException, story: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(failure, AssertionError):
        return
    words = _words(failure)
    asserted = _ASSERTION.search(words)
    line = asserted[0] if asserted else words.partition("\n")[0]
    for each in story["reads"]:
        is_empty = "0" in each["unseen"] and _EXPECTS_NOTHING.search(line) is not None
        if is_empty or (_names(line, each["seen"]) and _names(line, each["unseen"])):
            reader, writer = _short(each["reader"]), _short(each["writer"])
            yield (
                f'{reader} read rows of "{each["table"]}" that {writer} had not committed, which '
                f"real connections do not see. Give the test real ones: {_CLONE}."
            )
            return


def _lock_is_not_waited_for(
    failure: BaseException, transactions: Sequence[Transaction]
) -> Iterator[str]:
    locking = {
        each.connection
        for each in transactions
        if any(_LOCKS.search(one["text"]) for one in each.statements)
    }
    if len(locking) > 1 and _did_not_raise(failure):
        yield (
            "the connections of a sandboxed test are one session on the server, which never waits "
            f"for its own locks. Give the test real ones: {_CLONE}."
        )


def _no_snapshot(failure: BaseException, story: Mapping[str, Any]) -> Iterator[str]:
    asked = [found for each in story["statements"] if (found := _SNAPSHOTS.search(each["text"]))]
    if asked and _is_about_isolation(failure):
        level = " ".join(asked[0][1].upper().split())
        yield (
            f"{level} was asked for, and a sandboxed test has one transaction for all, so nobody "
            f"has a snapshot of their own. Give the test real transactions: {_CLONE}."
        )


def _is_about_isolation(failure: BaseException) -> bool:
    return _did_not_raise(failure) or isinstance(failure, AssertionError)


def _names(line: str, values: Sequence[str]) -> bool:
    """Whether *line* has one of *values*, as a word or a number of its own."""
    return any(re.search(rf"(?<!\w){re.escape(each)}(?!\w)", line) for each in values if each)


def _short(label: str) -> str:
    """Return the number of a connection, by which its transactions are headed."""
    found = re.search(r"\((connection \d+)\)\Z", label)
    return found[1] if found else label


# ------------------------------------------------------------------------ reading a failure


def _words(failure: BaseException) -> str:
    return str(failure.args[0]) if failure.args else str(failure)


def _is_comparison(failure: BaseException, pattern: re.Pattern[str]) -> bool:
    return isinstance(failure, AssertionError) and pattern.search(_words(failure)) is not None


def _did_not_raise(failure: BaseException) -> bool:
    return "DID NOT RAISE" in _words(failure)


def _innermost(failure: BaseException, places: StatementPlaces) -> Any:
    """Return the frame of the tests that *failure* was raised in, the innermost one."""
    found, step = None, failure.__traceback__
    while step is not None:
        if places.is_test_file(step.tb_frame.f_code.co_filename):
            found = step.tb_frame
        step = step.tb_next
    return found


def _words_of(failure: BaseException, frame: Any) -> str:
    """Return the line of *frame* that failed, and those that gave its variables their values."""
    step, number = failure.__traceback__, frame.f_lineno
    while step is not None:
        if step.tb_frame is frame:
            number = step.tb_lineno
        step = step.tb_next
    code = frame.f_code
    lines = [linecache.getline(code.co_filename, each) for each in _range(code, number)]
    failed = lines[-1] if lines else ""
    said = set(re.findall(r"\w+", failed))
    names = "|".join(re.escape(name) for name in frame.f_locals if name in said)
    given = re.compile(rf"\s*(?:{names})\s*=[^=]") if names else None
    return failed + "".join(each for each in lines[:-1] if given and given.match(each))


def _range(code: Any, last: int) -> range:
    return range(code.co_firstlineno, last + 1)


def _times_in(frame: Any) -> Iterator[dt.datetime]:
    """Yield the times that the test holds, in variables and in loaded attributes of objects."""
    for value in list(frame.f_locals.values()):
        if isinstance(value, dt.datetime):
            yield value
        elif isinstance(value, list | tuple):
            for each in value:
                yield from _times_of(each)
        else:
            yield from _times_of(value)


def _times_of(value: Any) -> Iterator[dt.datetime]:
    if isinstance(value, dt.datetime):
        yield value
    elif "sqlalchemy.orm" in sys.modules:
        with contextlib.suppress(AttributeError, TypeError):
            loaded = value._sa_instance_state.dict
            yield from (each for each in loaded.values() if isinstance(each, dt.datetime))
