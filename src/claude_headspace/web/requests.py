"""Requests read into models, with everything that is wrong with them said at once.

Each view declares what it takes beside itself, as a :class:`Request` or a :class:`Listing`.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

from flask import request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from werkzeug.exceptions import BadRequest

from claude_headspace.domain.validation import problems, says
from claude_headspace.errors import Invalid
from claude_headspace.services.paging import LONGEST_PAGE, Page

LARGEST_OFFSET = 2**63 - 1
"""The largest value of OFFSET, a bigint."""
_FLAGS = {"true": True, "false": False}


class Request(BaseModel):
    """The fields of a request: these and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Listing(Request):
    """Which part of a list is wanted."""

    limit: Annotated[
        int,
        Field(strict=True, ge=1, le=LONGEST_PAGE),
        says(f"must be a whole number from 1 to {LONGEST_PAGE}"),
    ] = Page().limit
    offset: Annotated[
        int,
        Field(strict=True, ge=0, le=LARGEST_OFFSET),
        says(f"must be a whole number from 0 to {LARGEST_OFFSET}"),
    ] = Page().offset

    @property
    def page(self) -> Page:
        """The part of the list, as services take it."""
        return Page(self.limit, self.offset)


Asked = TypeVar("Asked", bound=Request)


def body(model: type[Asked]) -> Asked:
    """Return the request's JSON body, which must be an object, as *model*."""
    try:
        given = request.get_json()
    except RecursionError:
        raise BadRequest("the body is nested too deeply") from None
    if not isinstance(given, dict):
        raise BadRequest("the body must be a JSON object")
    return _read(model, given)


def query(model: type[Asked]) -> Asked:
    """Return the request's query string as *model*."""
    return _read(model, {name: _value(text) for name, text in request.args.items()})


def _read(model: type[Asked], given: dict[str, object]) -> Asked:
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise Invalid(problems(error, model.model_fields)) from None


def _value(text: str) -> object:
    """A query string has text only: read what JSON would have written without quotes."""
    if text.isascii() and text.isdigit():
        # Python refuses to read thousands of digits; no number here has more than 19.
        return int(text[:20])
    return _FLAGS.get(text, text)
