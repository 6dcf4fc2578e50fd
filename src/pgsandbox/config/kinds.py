"""What a setting's value may be, and how it is read from TOML and from text.

A kind reads one value from either place into what the rest of the kit uses, or refuses it. Lists
are arrays in TOML and comma-separated in a variable or on the command line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

_NAME = r"[^\W\d]\w*"
_DOTTED = rf"{_NAME}(?:\.{_NAME})*"
# Texts, compiled where they are first used: pytest imports this in projects that have no settings.
_REFERENCE = rf"{_DOTTED}:{_DOTTED}"
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
_POSTGRESQL_URL = r"postgres(?:ql)?(?:\+\w+)?://"
_URL = r"[A-Za-z][\w+.-]*://"

_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off")


class Refused(ValueError):
    """A value is not of its kind; the text completes the sentence "the value ..."."""


T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class Kind(Generic[T_co]):
    """One sort of value."""

    allowed: str
    """What may be written, as a noun phrase for messages and for the reference."""
    from_toml: Callable[[object], T_co]
    """Read a TOML value, or raise ``Refused``."""
    from_text: Callable[[str], T_co]
    """Read the text of a variable or of a flag, or raise ``Refused``."""
    choices: tuple[str, ...] = ()
    """The only texts there are, if there are only some."""
    is_switch: bool = False
    """Whether the flag takes no value."""


@dataclass(frozen=True)
class Repetitions:
    """How often one line may send the same statement, and what happens where it does."""

    limit: int = 0
    """The number of times from which it is reported; 0 if it never is."""
    action: Literal["off", "warn", "fail"] = "off"
    """What a report does to the test."""

    def __str__(self) -> str:
        """It as it would stand in TOML."""
        return f'"{self.action} {self.limit}"' if self.limit else '"off"'


def one(read: Callable[[str], T], allowed: str, choices: tuple[str, ...] = ()) -> Kind[T]:
    """Return the kind of a single text that *read* accepts."""
    return Kind(allowed, lambda value: read(_text(value)), read, choices)


def several(
    read: Callable[[str], T], allowed: str, *, or_one: bool = False, not_empty: bool = False
) -> Kind[tuple[T, ...]]:
    """Return the kind of a list of texts that *read* accepts; with *or_one* a lone text will do."""

    def checked(texts: list[str]) -> tuple[T, ...]:
        if not_empty and not texts:
            raise Refused("is empty")
        return tuple(read(text) for text in texts)

    def from_toml(value: object) -> tuple[T, ...]:
        if or_one and isinstance(value, str):
            return checked([_text(value)])
        if not isinstance(value, list):
            raise Refused(f"is {_type_of(value)}")
        return checked([_text(item, "holds") for item in value])

    def from_text(text: str) -> tuple[T, ...]:
        return checked([item.strip() for item in text.split(",") if item.strip()])

    return Kind(allowed, from_toml, from_text)


def choice(*choices: str) -> Kind[str]:
    """Return the kind of a text that is one of *choices*."""
    allowed = "one of " + ", ".join(f'"{each}"' for each in choices)

    def read(text: str) -> str:
        if text not in choices:
            raise Refused("is none of them")
        return text

    return one(read, allowed, choices)


def switch() -> Kind[bool]:
    """Return the kind of a boolean."""

    def from_toml(value: object) -> bool:
        if not isinstance(value, bool):
            raise Refused(f"is {_type_of(value)}")
        return value

    def from_text(text: str) -> bool:
        if text.strip().lower() in _TRUE:
            return True
        if text.strip().lower() in _FALSE:
            return False
        raise Refused("is neither")

    return Kind(
        "true or false (without quotes; in a variable also 1, 0, yes, no, on, off)",
        from_toml,
        from_text,
        is_switch=True,
    )


def repetitions() -> Kind[Repetitions]:
    """Return the kind of `Repetitions`: a number, which warns, or a word with a number."""

    def from_toml(value: object) -> Repetitions:
        is_number = isinstance(value, int) and not isinstance(value, bool)
        return from_text(str(value) if is_number else _text(value))

    def from_text(text: str) -> Repetitions:
        words = text.split()
        if words == ["off"]:
            return Repetitions()
        action, number = words if len(words) == 2 else ("warn", text.strip())
        if action not in ("warn", "fail") or not re.fullmatch("[0-9]+", number):
            raise Refused("is none of them")
        if int(number) < 2:
            raise Refused("is a number below 2, and what was sent once is no repetition")
        return Repetitions(int(number), action)  # type: ignore[arg-type]  # checked above

    return Kind(
        '"off", a number, "warn" with a number or "fail" with a number', from_toml, from_text
    )


def percentage() -> Kind[float]:
    """Return the kind of a number from 0 to 100."""

    def checked(value: float) -> float:
        if not 0 <= value <= 100:
            raise Refused("is not between 0 and 100")
        return value

    def from_toml(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Refused(f"is {_type_of(value)}")
        return checked(float(value))

    def from_text(text: str) -> float:
        try:
            return checked(float(text))
        except ValueError as error:
            raise error if isinstance(error, Refused) else Refused("is no number") from None

    return Kind("a number from 0 to 100", from_toml, from_text)


def table() -> Kind[Any]:
    """Return the kind of a TOML table, whose own keys are read by the caller."""

    def from_toml(value: object) -> dict[str, object]:
        if not isinstance(value, dict):
            raise Refused(f"is {_type_of(value)}")
        return value

    def from_text(_: str) -> dict[str, object]:
        raise Refused("is a text")

    return Kind("a table", from_toml, from_text)


def entries(*required: str, optional: tuple[str, ...] = ()) -> Kind[tuple[dict[str, str], ...]]:
    """Return the kind of a list of tables, each with texts under the same few keys."""

    def entry(value: object) -> dict[str, str]:
        if not isinstance(value, dict):
            raise Refused(f"holds {_type_of(value)}")
        unknown = [key for key in value if key not in (*required, *optional)]
        if unknown:
            raise Refused(f'has an entry with the key "{unknown[0]}"')
        missing = [key for key in required if key not in value]
        if missing:
            raise Refused(f"has an entry without {missing[0]}")
        return {key: _text(each, "holds") for key, each in value.items()}

    def from_toml(value: object) -> tuple[dict[str, str], ...]:
        if not isinstance(value, list):
            raise Refused(f"is {_type_of(value)}")
        return tuple(entry(each) for each in value)

    def from_text(_: str) -> tuple[dict[str, str], ...]:
        raise Refused("is a text")

    keys = ", ".join([f'{key} = "..."' for key in required])
    more = "".join(f', and {key} = "..." if you like' for key in optional)
    return Kind(f"a list of tables {{ {keys} }}{more}", from_toml, from_text)


def reference(text: str) -> str:
    """Return *text* if it reads ``package.module:name``."""
    if not re.fullmatch(_REFERENCE, text):
        raise Refused('does not read "package.module:name"')
    return text


def url_or_reference(text: str) -> str:
    """Return *text* if it is a URL of PostgreSQL, or a reference to what returns one."""
    if re.match(_POSTGRESQL_URL, text) or re.fullmatch(_REFERENCE, text):
        return text
    if re.match(_URL, text):
        raise Refused("is not a URL of PostgreSQL")
    raise Refused('is neither a URL nor "package.module:callable"')


def url(text: str) -> str:
    """Return *text* if it is a URL of any database; passwords are looked for elsewhere."""
    if not re.match(_URL, text):
        raise Refused("holds something that is not a URL")
    return text


def path(text: str) -> Path:
    """Return *text* as a path, still relative to the project's root."""
    if "\0" in text:
        raise Refused("holds a NUL character")
    return Path(text)


def variable(text: str) -> str:
    """Return *text* if it can name an environment variable."""
    if not re.fullmatch(_VARIABLE, text):
        raise Refused("holds something that cannot name an environment variable")
    return text


def dotted_name(text: str) -> str:
    """Return *text* if it is a dotted name of Python."""
    if not re.fullmatch(_DOTTED, text):
        raise Refused("holds something that is not a dotted name")
    return text


def any_text(text: str) -> str:
    """Return *text*, whatever it says."""
    return text


def _text(value: object, verb: str = "is") -> str:
    if not isinstance(value, str):
        raise Refused(f"{verb} {_type_of(value)}")
    if not value.strip():
        raise Refused(f"{verb} an empty text")
    return value


def _type_of(value: object) -> str:
    # A boolean is an int too, so it stands first.
    for types, name in (
        (bool, "a boolean"),
        (str, "a text"),
        (int | float, "a number"),
        (list, "a list"),
        (dict, "a table"),
        (date | time, "a date or time"),
    ):
        if isinstance(value, types):
            return name
    return type(value).__name__
