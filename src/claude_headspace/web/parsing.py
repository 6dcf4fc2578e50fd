"""Requests read field by field, with everything that is wrong with them said at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import TypeVar
from uuid import UUID

from flask import request
from werkzeug.exceptions import BadRequest

from claude_headspace.errors import Invalid
from claude_headspace.services.paging import LONGEST_PAGE, Page

LARGEST_ID = 2**31 - 1
"""The largest value of an integer primary key (PostgreSQL manual, 8.1.1)."""
LARGEST_OFFSET = 2**63 - 1
"""The largest value of OFFSET, a bigint."""

Vocabulary = TypeVar("Vocabulary", bound=StrEnum)


class Fields:
    """The fields of one request: ask for each by its type, then call :meth:`check`.

    A field that is wrong yields a stand-in and is remembered; :meth:`check` raises for all of them
    together, and for fields that nobody asked for.
    """

    def __init__(self, given: Mapping[str, object], *, from_query: bool = False) -> None:
        self._given = given
        self._from_query = from_query
        self._wrong: dict[str, str] = {}
        self._asked: set[str] = set()

    def check(self) -> None:
        """Raise :class:`Invalid` if any field is missing, wrong or unknown."""
        unknown = {name: "is not known here" for name in self._given if name not in self._asked}
        if wrong := self._wrong | unknown:
            raise Invalid(wrong)

    def has(self, name: str) -> bool:
        """Whether the request has the field, be it null."""
        self._asked.add(name)
        return name in self._given

    def text(self, name: str, *, may_be_empty: bool = False) -> str:
        """Return a string that must be there."""
        value = self._text(name, self._value(name, required=True))
        if value is not None and not value.strip() and not may_be_empty:
            self._refuse(name, "must not be empty")
        return value or ""

    def optional_text(self, name: str) -> str | None:
        """Return a string that is not empty, or None."""
        value = self._text(name, self._value(name))
        if value is not None and not value.strip():
            self._refuse(name, "must not be empty")
        return value

    def uuid(self, name: str) -> UUID:
        """Return a UUID that must be there."""
        value = self._value(name, required=True)
        try:
            return UUID(value if isinstance(value, str) else "")
        except ValueError:
            self._refuse(name, "must be a UUID")
            return UUID(int=0)

    def one_of(self, name: str, vocabulary: type[Vocabulary]) -> Vocabulary:
        """Return a word of *vocabulary* that must be there."""
        found = self._word(name, self._value(name, required=True), vocabulary)
        return next(iter(vocabulary)) if found is None else found

    def optional_one_of(self, name: str, vocabulary: type[Vocabulary]) -> Vocabulary | None:
        """Return a word of *vocabulary*, or None."""
        return self._word(name, self._value(name), vocabulary)

    def optional_id(self, name: str) -> int | None:
        """Return the id of a row, or None."""
        value = self._value(name)
        return None if value is None else self._integer(name, value, 1, LARGEST_ID)

    def optional_moment(self, name: str) -> datetime | None:
        """Return a time with its offset from UTC, or None."""
        value = self._value(name)
        if value is None:
            return None
        try:
            at = datetime.fromisoformat(value if isinstance(value, str) else "")
        except ValueError:
            at = None
        if at is None or at.tzinfo is None:
            self._refuse(name, "must be a time in ISO 8601 with its offset from UTC")
        return at

    def optional_flag(self, name: str) -> bool | None:
        """Return true or false, or None."""
        value = self._value(name)
        if self._from_query:
            value = {"true": True, "false": False}.get(str(value), value)
        if value is None or isinstance(value, bool):
            return value
        self._refuse(name, "must be true or false")
        return None

    def optional_object(self, name: str) -> dict[str, object] | None:
        """Return a JSON object, or None."""
        value = self._value(name)
        if value is None or isinstance(value, dict):
            return value
        self._refuse(name, "must be an object")
        return None

    def page(self) -> Page:
        """Return which part of a list is wanted, from ``limit`` and ``offset``."""
        standard = Page()
        limit, offset = self._value("limit"), self._value("offset")
        return Page(
            standard.limit if limit is None else self._integer("limit", limit, 1, LONGEST_PAGE),
            standard.offset
            if offset is None
            else self._integer("offset", offset, 0, LARGEST_OFFSET),
        )

    def _value(self, name: str, *, required: bool = False) -> object:
        self._asked.add(name)
        value = self._given.get(name)
        if value is None and required:
            self._refuse(name, "is required")
        return value

    def _text(self, name: str, value: object) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str):
            self._refuse(name, "must be a string")
            return None
        if not _can_be_stored(value):
            self._refuse(name, "must be text without NUL characters and lone surrogates")
        return value

    def _word(self, name: str, value: object, vocabulary: type[Vocabulary]) -> Vocabulary | None:
        if value is None:
            return None
        found = next((word for word in vocabulary if word == value), None)
        if found is None:
            self._refuse(name, f"must be one of {', '.join(vocabulary)}")
        return found

    def _integer(self, name: str, value: object, lowest: int, highest: int) -> int:
        if self._from_query and isinstance(value, str) and value.isascii() and value.isdigit():
            # Python refuses to read thousands of digits; no number here has more than 19.
            value = int(value[:20])
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            self._refuse(name, f"must be a whole number from {lowest} to {highest}")
            return lowest
        return value

    def _refuse(self, name: str, why: str) -> None:
        self._wrong.setdefault(name, why)


def body() -> Fields:
    """Return the fields of the request's JSON body, which must be an object."""
    try:
        given = request.get_json()
    except RecursionError:
        raise BadRequest("the body is nested too deeply") from None
    if not isinstance(given, dict):
        raise BadRequest("the body must be a JSON object")
    return Fields(given)


def query() -> Fields:
    """Return the fields of the request's query string."""
    return Fields(request.args.to_dict(), from_query=True)


def _can_be_stored(text: str) -> bool:
    """PostgreSQL's text takes neither NUL (manual, 8.3) nor what UTF-8 can't encode."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False
