"""What to do about SQLAlchemy's MissingGreenlet, whose own words name no attribute and no cure."""

from __future__ import annotations

from collections.abc import Iterator
from types import FrameType
from typing import Any

from sqlalchemy.exc import MissingGreenlet

from pgsandbox.errors import chain_of


def hint(failure: BaseException) -> str | None:
    """Return what was read and how to load it, if *failure* is a MissingGreenlet or ends in one."""
    chain = list(chain_of(failure))
    if not any(isinstance(error, MissingGreenlet) for error in chain):
        return None
    frames = (frame for error in chain for frame in _frames(error))
    read = next((found for frame in frames if (found := _read_in(frame))), None)
    return read or (
        "The code used an asynchronous driver's connection without await: a lazy load, or a "
        "synchronous session on an asynchronous engine. Await it, or call it by run_sync(); in a "
        "test, db_session and db_engine are synchronous whatever the application's driver is."
    )


def _frames(error: BaseException) -> Iterator[FrameType]:
    raised = error.__traceback__
    while raised is not None:
        yield raised.tb_frame
        raised = raised.tb_next


def _read_in(frame: FrameType) -> str | None:
    """Return the hint if *frame* is the one in which SQLAlchemy loads an attribute."""
    if not str(frame.f_globals.get("__name__", "")).startswith("sqlalchemy.orm."):
        return None
    known = frame.f_locals
    if frame.f_code.co_name == "_load_for_state" and hasattr(known.get("self"), "parent_property"):
        strategy: Any = known["self"]
        return _of_relationship(strategy.parent.class_.__name__, strategy.key)
    if frame.f_code.co_name.endswith("load_scalar_attributes") and known.get("attribute_names"):
        names = sorted(known["attribute_names"])
        return _of_columns(known["mapper"].class_.__name__, names)
    return None


def _of_relationship(model: str, name: str) -> str:
    return (
        f"{model}.{name} was not loaded, and reading it would have had to await. Load it with the "
        f"object, by options(selectinload({model}.{name})), or afterwards, by await "
        f'session.refresh(object, ["{name}"]), or read it in await session.run_sync(...). '
        "Production would fail in the same way."
    )


def _of_columns(model: str, names: list[str]) -> str:
    read = f"{model}.{names[0]}" if len(names) == 1 else f"Values of {model} ({', '.join(names)})"
    was, it = ("was", "it") if len(names) == 1 else ("were", "them")
    return (
        f"{read} {was} expired, by a commit or a rollback of the session, or never loaded, and "
        f"reading {it} would have had to await. Make the application's sessions with "
        "expire_on_commit=False, as async_db_session is, or await session.refresh(object) before. "
        "Production would fail in the same way."
    )
