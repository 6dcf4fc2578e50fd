"""Compares two catalogs: each single difference once, and what follows from it not at all.

Pure, standard library only. The order of work:

1. what has another name on the other side and is alike otherwise is paired (`renames`);
2. what is on one side only, or has facets that differ, is collected;
3. what is a consequence of something else in that collection is folded into it (`consequences`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from pgsandbox.schema.consequences import Candidates, Change, fold
from pgsandbox.schema.renames import Rename, paired
from pgsandbox.schema.schema_objects import Catalog, Key, SchemaObject


@dataclass(frozen=True)
class Difference:
    """One thing that is not the same in both schemas."""

    code: str
    """What differs in what: ``column-type``, ``index-missing``."""
    key: Key
    """The object, as the first schema calls it where both have it."""
    facet: str
    """``missing`` or ``unexpected`` in the second schema, ``name``, or the facet that differs."""
    left: str | None
    """What the first schema says."""
    right: str | None
    """What the second schema says."""
    first: SchemaObject | None
    """The object in the first schema."""
    second: SchemaObject | None
    """The object in the second schema."""
    consequences: tuple[str, ...] = ()
    """What differs only because this does."""
    missing_with_it: tuple[SchemaObject, ...] = ()
    """Those of them that the second schema does not have, in an order in which they can be made."""


def compare(left: Catalog, right: Catalog, *, column_order: bool = False) -> list[Difference]:
    """Return what differs between two schemas, by object.

    With *column_order* it counts where a table's columns stand in another order, too.
    """
    if not column_order and _are_alike(left, right):
        return []
    left, renames = paired(left, right)
    candidates = _candidates(left, right)
    folded = fold(left, right, candidates)
    found = [_renamed(each) for each in renames]
    found += [_one_sided(each, folded, left, "missing") for each in folded.only_left]
    found += [_one_sided(each, folded, right, "unexpected") for each in folded.only_right]
    found += [_changed(each, folded, left, right) for each in folded.changes]
    if column_order:
        found += [*_moved(left, right)]
    return sorted(
        _with_forms(found), key=lambda each: (each.key.identity, each.key.kind, each.code)
    )


def tables_in_another_order(left: Catalog, right: Catalog) -> list[str]:
    """Return the tables whose columns stand in another order."""
    left, _ = paired(left, right)
    return [each.key.identity for each in _moved(left, right)]


def _are_alike(left: Catalog, right: Catalog) -> bool:
    """Whether there is nothing to look for: the same names, and the same said of each."""
    return left.objects.keys() == right.objects.keys() and all(
        each is right[key] or each.facets == right[key].facets for key, each in left.objects.items()
    )


def _candidates(left: Catalog, right: Catalog) -> Candidates:
    changes = {
        Change(key, facet): (left[key].facets.get(facet), right[key].facets.get(facet))
        for key in left
        if key in right
        for facet in {**left[key].facets, **right[key].facets}
        if left[key].facets.get(facet) != right[key].facets.get(facet)
    }
    return Candidates(
        frozenset(key for key in left if key not in right),
        frozenset(key for key in right if key not in left),
        changes,
    )


def _renamed(rename: Rename) -> Difference:
    first, second = rename.first, rename.second
    code = _code(first.label, "name")
    return Difference(code, first.key, "name", first.name, second.name, first, second)


def _one_sided(key: Key, folded: Candidates, side: Catalog, facet: str) -> Difference:
    found = side[key]
    said = definition_of(found)
    is_missing = facet == "missing"
    return Difference(
        _code(found.label, facet),
        key,
        facet,
        said if is_missing else None,
        None if is_missing else said,
        found if is_missing else None,
        None if is_missing else found,
        *_consequences(folded, key, side, side if is_missing else None),
    )


def _changed(change: Change, folded: Candidates, left: Catalog, right: Catalog) -> Difference:
    said = folded.changes[change]
    first, second = left[change.key], right[change.key]
    facet = _word_for_value(first, second) if change.facet == "value" else change.facet
    return Difference(
        _code(first.label, facet),
        change.key,
        change.facet,
        *said,
        first,
        second,
        *_consequences(folded, change, right, left),
    )


def _consequences(
    folded: Candidates, cause: Key | Change, side: Catalog, left: Catalog | None
) -> tuple[tuple[str, ...], tuple[SchemaObject, ...]]:
    """Return what follows from *cause* in words, and what of it is in *left* only."""
    told, missing = set(), []
    for each in folded.consequences.get(cause, ()):
        if isinstance(each, Change):
            place = side if each.key in side else left
            label = place[each.key].label if place and each.key in place else each.key.kind
            told.add(f"{each.facet} of the {label} {each.key.identity}")
            continue
        only = (left or side).objects.get(each) or side.objects.get(each)
        told.add(f"{only.label if only else each.kind} {each.identity}")
        if left and each in left and (left is side or each not in side):
            missing.append(left[each])
    return tuple(sorted(told)), tuple(sorted(missing, key=_when_to_make))


def _when_to_make(found: SchemaObject) -> tuple[int, str]:
    kinds = ("sequence", "column", "constraint", "index", "statistics")
    order = kinds.index(found.key.kind) if found.key.kind in kinds else len(kinds)
    return order, found.key.identity


def _code(label: str, facet: str) -> str:
    return f"{label}-{facet}".replace(" ", "-")


def _word_for_value(first: SchemaObject, second: SchemaObject) -> str:
    """Return what a column's value comes from, where the sources are of two kinds, too."""
    said = [each.facets.get("value", "") for each in (first, second)]
    if first.label != "column":
        return "value"
    if any(each.startswith("generated ") and each.endswith(" as identity") for each in said):
        return "identity"
    return (
        "generated" if any(each.startswith("generated always as (") for each in said) else "default"
    )


def definition_of(found: SchemaObject) -> str:
    """Return everything that *found* is, as one text."""
    if found.create:
        return found.create
    facets = {name: said for name, said in found.facets.items() if name not in _UNINTERESTING}
    if found.label == "column":
        order = ("type", "nullability", "value")
        rest = [f"{name} {said}" for name, said in facets.items() if name not in order]
        return " ".join([*(facets[name] for name in order if name in facets), *rest])
    return (
        ", ".join(f"{name} {said}" for name, said in facets.items() if name != "kind")
        or found.label
    )


_UNINTERESTING = ("owner", "privileges")


def _moved(left: Catalog, right: Catalog) -> Iterator[Difference]:
    for key in left:
        if key.kind != "relation" or key not in right:
            continue
        there = {each.key: each for each in right.below(key) if each.label == "column"}
        here = {each.key: each for each in left.below(key) if each.label == "column"}
        first = _in_order(here, there)
        second = _in_order(there, here)
        if first != second:
            code = "table-column-order"
            yield Difference(code, key, "column-order", first, second, left[key], right[key])


def _in_order(columns: Mapping[Key, SchemaObject], others: Mapping[Key, SchemaObject]) -> str:
    common = [each for key, each in columns.items() if key in others]
    return ", ".join(each.name for each in sorted(common, key=lambda each: each.position))


def _with_forms(found: list[Difference]) -> list[Difference]:
    """Make one of a unique constraint on one side and its unique index on the other."""
    missing = [each for each in found if each.facet == "missing" and _unique_by(each.first)]
    unexpected = [each for each in found if each.facet == "unexpected" and _unique_by(each.second)]
    for one in missing:
        for other in unexpected:
            if (
                other in found
                and _unique_by(one.first) == _unique_by(other.second)
                and one.key.kind != other.key.kind
            ):
                found.remove(one)
                found.remove(other)
                both = replace(one, code="unique-form", facet="form")
                found.append(replace(both, right=other.right, second=other.second))
                break
    return found


def _unique_by(found: SchemaObject | None) -> tuple[Key | None, str] | None:
    """Return what *found* makes unique, in the words of a constraint."""
    facets = found.facets if found else {}
    if found is None or (found.label == "index" and facets.get("uniqueness") is None):
        return None
    if found.label == "unique":
        return found.parent, facets["definition"]
    if found.label != "index" or "predicate" in facets:
        return None
    nulls = "NULLS NOT DISTINCT " if "nulls" in facets else ""
    include = f" INCLUDE ({facets['include']})" if "include" in facets else ""
    return found.parent, f"UNIQUE {nulls}({facets['keys']}){include}"
