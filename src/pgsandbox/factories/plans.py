"""What a module of factories says, before it is text."""

from __future__ import annotations

from dataclasses import dataclass, field

from pgsandbox.factories.imports import Import
from pgsandbox.factories.mapped_classes import Model
from pgsandbox.factories.satisfying import Row

GLOBAL = frozenset({"factory", "dt", "Decimal", "UUID", "Range", "Factory"})
"""Names that the module uses itself."""

RESERVED = frozenset(
    {
        *GLOBAL,
        "Meta",
        "Params",
        "build",
        "build_batch",
        "create",
        "create_batch",
        "generate",
        "generate_batch",
        "reset_sequence",
        "simple_generate",
        "simple_generate_batch",
        "stub",
        "stub_batch",
    }
)
"""Names that mean something else in a factory, or in its module."""


@dataclass
class Declaration:
    """One line of a factory."""

    name: str
    code: str
    """The expression."""
    imports: tuple[Import, ...] = ()
    notes: tuple[str, ...] = ()
    """What the reader has to decide about it."""


@dataclass
class Plan:
    """What one factory says."""

    model: Model
    name: str
    source: Import
    """How the class is imported."""
    base: Plan | None = None
    """The factory that it extends."""
    params: list[Declaration] = field(default_factory=list)
    declarations: list[Declaration] = field(default_factory=list)
    keys: tuple[str, ...] = ()
    """What objects are looked up by, where there can be few of them."""
    rename: dict[str, str] = field(default_factory=dict)
    """The names of declarations that are not those of the attributes."""
    notes: list[str] = field(default_factory=list)
    """What the reader has to decide about the whole."""
    row: Row = field(default_factory=dict)
    """What is chosen for each column."""
    needs: list[Plan] = field(default_factory=list)
    """The factories that have to stand before it."""

    @property
    def marks(self) -> int:
        """How many places wait for the reader."""
        return len(self.notes) + sum(len(each.notes) for each in [*self.params, *self.declarations])
