"""What can be wrong with migrations, each as a check that returns findings.

None of them prints, and none needs pytest. Each gets migrations on empty databases of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from sqlalchemy import (
    JSON,
    Connection,
    MetaData,
    String,
    Table,
    Text,
    cast,
    func,
    literal,
    select,
)
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from pgsandbox import guard
from pgsandbox.reports import Finding
from pgsandbox.schema.compare import Difference, compare
from pgsandbox.schema.migrating import Migrations, Revision
from pgsandbox.schema.schema_objects import Catalog

PAGE = "testing/migrations/"

Row = Mapping[str, Any]
Write = Callable[[Connection], object]


@dataclass(frozen=True)
class MigrationRows:
    """Rows that a project wants to see survive its migrations."""

    at: str
    """The revision at which they are written."""
    rows: Mapping[str, Sequence[Row]]
    """The rows by table, each as values by column."""
    after: str = "head"
    """The revision at which they are looked at."""
    expected: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    """What has arrived there, by table: each row is there once, whatever other columns it has.
    Without it, the same rows."""
    bind: str | None = None
    """The database, where it is not the project's own but one of ``binds``."""


def single_head(migrations: Migrations) -> list[Finding]:
    """Return a finding if there are several heads, so that ``upgrade head`` would fail."""
    if len(migrations.heads) < 2:
        return []
    return [
        Finding(
            code="several-heads",
            message=f"The migrations have {len(migrations.heads)} heads.",
            subject=", ".join(sorted(migrations.heads)),
            remedy="Join them with `alembic merge heads`, or rebase one on the other.",
            page=PAGE,
        )
    ]


def upgrade(migrations: Migrations) -> list[Finding]:
    """Return which revision fails on the way from an empty database."""
    return _all_of(migrations, "upgrade", migrations.revisions)


def every_step(migrations: Migrations) -> list[Finding]:
    """Return what is not undone, or not done again alike, when each revision goes down and up.

    Three runs for each revision, from the oldest on, on one database. A revision that can't be
    undone, or done, ends the walk.
    """
    found: list[Finding] = []
    before = migrations.catalog()
    for place, revision in enumerate(migrations.revisions, start=1):
        later = migrations.revisions[place:]
        failed = _failing(revision, "upgrade", partial(migrations.upgrade, revision))
        if failed is not None:
            return [*found, _ending(failed, later)]
        after = migrations.catalog()
        if not revision.has_downgrade:
            return [*found, _ending(_no_way_back(revision), later)]
        failed = _failing(revision, "downgrade", partial(migrations.downgrade, revision))
        if failed is not None:
            return [*found, _ending(failed, later)]
        down = migrations.catalog()
        found += _unlike(revision, "not-undone", "before it, its downgrade leaves", before, down)
        failed = _failing(revision, "upgrade", partial(migrations.upgrade, revision))
        if failed is not None:
            return [*found, _ending(_again(failed), later)]
        again = migrations.catalog()
        found += _unlike(revision, "not-repeated", "after it, a second upgrade makes", after, again)
        before = again
    return found


def _ending(last: Finding, later: Sequence[Revision]) -> Finding:
    """Return the finding that ends the walk, with the revisions that it leaves unchecked."""
    if not later:
        return last
    names = f"{later[0].name} to {later[-1].name}" if len(later) > 1 else later[0].name
    unchecked = {"not checked": f"{len(later)} later: {names}"}
    return replace(last, details={**last.details, **unchecked})


def not_checked(finding: Finding) -> int:
    """Return how many revisions nobody has looked at because of *finding*."""
    return int(finding.details.get("not checked", "0").partition(" ")[0])


def nothing_left(migrations: Migrations) -> list[Finding]:
    """Return what stays when all revisions are done and then undone."""
    empty = migrations.catalog()
    upgrade = _all_of(migrations, "upgrade", migrations.revisions)
    if upgrade:
        return upgrade
    downgrade = _all_of(migrations, "downgrade", migrations.revisions[::-1])
    if downgrade:
        return downgrade
    return [
        Finding(
            code="left-at-base",
            message=f"A downgrade to base leaves the {_label(each)}.",
            subject=each.key.identity,
            remedy="Drop it in the downgrade of the revision that makes it.",
            page=PAGE,
        )
        for each in compare(empty, migrations.catalog())
    ]


def offline_is_online(online: Migrations, offline: Migrations) -> list[Finding]:
    """Return what the SQL of ``upgrade --sql`` makes differently, on two empty databases."""
    upgrade = _all_of(online, "upgrade", online.revisions)
    if upgrade:
        return upgrade
    try:
        offline.execute(offline.offline_sql())
    except Exception as error:  # noqa: BLE001  # whatever the project's own code raises
        at = offline.present
        return [
            Finding(
                code="offline-fails",
                message=f"`alembic upgrade --sql` can't be made or does not run: {at or 'env.py'}.",
                subject=at.name if at else "offline",
                path=os.path.relpath(at.file) if at else None,
                details=_said(error),
                remedy="A migration that reads the database can't be printed: guard it with "
                "`context.is_offline_mode()`, or do without this check.",
                page=PAGE,
            )
        ]
    return [
        _difference(each, "offline", "offline-differs", "online", "offline")
        for each in compare(online.catalog(), offline.catalog(), column_order=True)
    ]


def rows_survive(migrations: Migrations, given: MigrationRows) -> list[Finding]:
    """Return which rows are lost or changed on the way up and down again."""
    after = migrations.heads[0] if given.after in ("head", "heads") else given.after
    start = migrations.up_to(given.at)
    way = [each for each in migrations.up_to(after) if each not in start]
    failed = _all_of(migrations, "upgrade", start)
    if failed:
        return failed
    connection = migrations.connection
    refused = _write(connection, given)
    if refused is not None:
        return [refused]
    failed = _all_of(migrations, "upgrade", tuple(way))
    if failed:
        return failed
    found = _missing_rows(connection, given.expected or given.rows, after)
    if all(each.has_downgrade for each in way):
        failed = _all_of(migrations, "downgrade", tuple(reversed(way)))
        if failed:
            return [*found, *failed]
        found += _missing_rows(connection, given.rows, f"{given.at}, back from {after}")
    return found


# -- words ------------------------------------------------------------------------------------


def _all_of(
    migrations: Migrations, direction: str, revisions: tuple[Revision, ...]
) -> list[Finding]:
    run = migrations.upgrade if direction == "upgrade" else migrations.downgrade
    for revision in revisions:
        if direction == "downgrade" and not revision.has_downgrade:
            return [_no_way_back(revision)]
        failed = _failing(revision, direction, partial(run, revision))
        if failed is not None:
            return [failed]
    return []


def _failing(revision: Revision, direction: str, run: Callable[[], None]) -> Finding | None:
    try:
        run()
    except Exception as error:  # noqa: BLE001  # whatever a migration raises
        return Finding(
            code=f"{direction}-fails",
            message=f"The {direction} of {revision} fails.",
            subject=revision.name,
            path=os.path.relpath(revision.file),
            details=_said(error),
            page=PAGE,
        )
    return None


def _again(failed: Finding) -> Finding:
    return Finding(
        code="not-repeated",
        message=f"{failed.message.removesuffix('fails.')}fails the second time, after a downgrade.",
        subject=failed.subject,
        path=failed.path,
        details=failed.details,
        remedy=_remedy_of_again(failed.details.get("server said", "")),
        page=PAGE,
    )


def _remedy_of_again(said: str) -> str:
    if "already exists" not in said.partition("\n")[0]:
        return (
            "The first upgrade passed on this database, so the downgrade has left or taken away "
            "what the second one meets: rows, most often, or a default."
        )
    if said.startswith("type "):
        return "Drop the type in the downgrade: an enum stays when drop_table takes its table."
    return "Drop in the downgrade what the upgrade makes."


def _no_way_back(revision: Revision) -> Finding:
    return Finding(
        code="no-downgrade",
        message=f"{revision} has no downgrade.",
        subject=revision.name,
        path=os.path.relpath(revision.file),
        page=PAGE,
    )


def _unlike(
    revision: Revision, code: str, what: str, wanted: Catalog, found: Catalog
) -> list[Finding]:
    first, second = what.split(", ")
    return [
        Finding(
            code=code,
            message=f"{revision}: the {_label(each)} {each.key.identity} is not as it was.",
            subject=revision.name,
            path=os.path.relpath(revision.file),
            details={
                first: each.left or "nothing",
                second: each.right or "nothing",
                "what": each.code,
            },
            page=PAGE,
        )
        for each in compare(wanted, found)
    ]


def _difference(each: Difference, subject: str, code: str, left: str, right: str) -> Finding:
    return Finding(
        code=code,
        message=f"The {_label(each)} {each.key.identity} differs ({each.code}).",
        subject=subject,
        details={left: each.left or "nothing", right: each.right or "nothing"},
        page=PAGE,
    )


def _label(difference: Difference) -> str:
    found = difference.first or difference.second
    return found.label if found else difference.key.kind


def _said(error: Exception) -> dict[str, str]:
    if isinstance(error, DBAPIError) and error.orig is not None:
        said = {"server said": guard.masked(str(error.orig).strip())}
        if error.statement:
            said["statement"] = guard.masked(error.statement.strip())
        return said
    return {"error": guard.masked(f"{type(error).__name__}: {error}".strip())}


def _write(connection: Connection, given: MigrationRows) -> Finding | None:
    try:
        for name, rows in given.rows.items():
            if rows:
                table = _table(connection, name)
                connection.execute(table.insert(), [dict(row) for row in rows])
                _advance_sequences(connection, table)
        connection.commit()
    except SQLAlchemyError as error:
        connection.rollback()
        return Finding(
            code="rows-refused",
            message=f"The rows can't be written at {given.at}.",
            subject=", ".join(given.rows),
            details=_said(error),
            remedy="They have to fit the schema as it was at that revision.",
            page=PAGE,
        )
    return None


def _advance_sequences(connection: Connection, table: Table) -> None:
    """Let the sequences of *table* go on behind its rows, as they do where rows were not given."""
    name = connection.dialect.identifier_preparer.format_table(table)
    for column in table.columns:
        sequence = connection.scalar(select(func.pg_get_serial_sequence(name, column.name)))
        if sequence is not None:
            last = select(func.max(column)).scalar_subquery()
            connection.execute(select(func.setval(sequence, last)).where(last >= 1))


def _table(connection: Connection, name: str) -> Table:
    schema, _, table = name.rpartition(".")
    return Table(table, MetaData(), schema=schema or None, autoload_with=connection)


def _missing_rows(
    connection: Connection, expected: Mapping[str, Sequence[Row]], when: str
) -> list[Finding]:
    found = []
    for name, rows in expected.items():
        table = _table(connection, name)
        there = [dict(row) for row in connection.execute(table.select()).mappings()]
        for row in rows:
            wanted = _as_read(connection, table, row)
            alike = [each for each in there if _is_like(each, wanted)]
            if len(alike) != 1:
                found.append(
                    Finding(
                        code="row-lost",
                        message=f"At {when} a row is there {len(alike)} times and not once.",
                        subject=name,
                        details={"expected": str(dict(row)), "there": _shown(there)},
                        page=PAGE,
                    )
                )
    connection.rollback()
    return found


def _as_read(connection: Connection, table: Table, row: Row) -> Row:
    """Return *row* as the server gives it back, where a text stands for a value of another type."""
    texts = {
        name: cast(literal(value, Text), table.columns[name].type)
        for name, value in row.items()
        if isinstance(value, str)
        and name in table.columns
        and not isinstance(table.columns[name].type, String | JSON)
    }
    if not texts:
        return row
    try:
        read = connection.execute(select(*(each.label(name) for name, each in texts.items())))
        return {**row, **read.mappings().one()}
    except SQLAlchemyError:  # it is not of that type, and no row is like it
        connection.rollback()
        return row


def _is_like(row: Row, expected: Row) -> bool:
    return all(name in row and row[name] == value for name, value in expected.items())


def _shown(rows: list[dict[str, Any]]) -> str:
    return "\n".join(str(row) for row in rows[:5]) or "no row"
