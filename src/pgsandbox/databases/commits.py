"""In which database a change to the shared catalogs was committed: the server's log knows.

No catalog tells who has made a role, but the write-ahead log has a record of each commit, which
names the database of its session, and the caches that other sessions have to forget by it; those
of shared catalogs are of database 0 (PostgreSQL's source, `xl_xact_commit` in access/xact.h and
`SharedInvalidationMessage` in storage/sinval.h; the same in versions 13 to 18). A superuser may
read the log. With ``wal_level = minimal`` a commit names no database.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from psycopg2.extensions import connection as Connection

from pgsandbox.databases.limits import DEFAULT_LIMITS, Limits, limited
from pgsandbox.databases.pg_database import identity_of

_MOST = 128 * 1024 * 1024
"""Bytes of the log that are read; after a test that wrote more, nobody can tell."""
_HEADER = struct.Struct("<IIQBBHI")
_XACT, _SWITCHES = 1, (0, 0x40)
_COMMITS = (0x00, 0x30)
_HAS_INFO, _DATABASE, _CHILDREN, _FILES, _MESSAGES, _STATISTICS = 0x80, 1, 2, 4, 8, 256
_SNAPSHOT = -5
_ABOUT_OBJECTS = (1214, 3592)
"""pg_shdepend and pg_shseclabel, in which also what belongs to one database has its rows."""


@dataclass(frozen=True)
class LogPosition:
    """Where the server's write-ahead log ends, at one moment."""

    place: int
    timeline: int
    segment: int
    """Bytes of one file of it."""
    page: int
    """Bytes of one page of it."""
    version: int
    """The server's, as its number."""


def log_position(connection: Connection, limits: Limits = DEFAULT_LIMITS) -> LogPosition | None:
    """Where the log ends now; None if it can't be read, or does not say enough."""
    if not identity_of(connection, limits=limits).is_superuser:
        return None
    with limited(connection, "find the end of the log of", "*", limits) as cursor:
        cursor.execute(_POSITION)
        (row,) = cursor.fetchall()
    return LogPosition(*row[:-1]) if row[-1] else None


def have_changed_shared(
    connection: Connection,
    databases: Collection[int],
    since: LogPosition | None,
    limits: Limits = DEFAULT_LIMITS,
) -> bool | None:
    """Whether a session in one of *databases* changed a shared catalog; None if nobody knows."""
    if since is None:
        return None
    with limited(connection, "write the log of", "*", limits) as cursor:
        # A commit that is waited for brings all before it into the files; what comes after it may
        # be in memory only, and in the file still what was there before. Without a record of its
        # own before that of the commit, no commit is waited for.
        cursor.execute("begin; set local synchronous_commit = on")
        cursor.execute("select pg_catalog.pg_logical_emit_message(true, 'pgsandbox', '')")
        cursor.execute("commit")
        cursor.execute(_WRITTEN)
        ((until, timeline),) = cursor.fetchall()
    if timeline != since.timeline or until - since.place > _MOST:
        return None
    try:
        log = b"".join(_read(connection, since, until, limits))
        return any(
            database in databases and _is_shared(messages)
            for database, messages in commits(log, since)
        )
    except (struct.error, LookupError, ValueError):
        return None


def _read(
    connection: Connection, since: LogPosition, until: int, limits: Limits
) -> Iterator[bytes]:
    place = since.place
    with limited(connection, "read the log of", "*", limits) as cursor:
        while place < until:
            number, offset = divmod(place, since.segment)
            high, low = divmod(number, 0x1_0000_0000 // since.segment)
            count = min(since.segment - offset, until - place)
            name = f"pg_wal/{since.timeline:08X}{high:08X}{low:08X}"
            cursor.execute(
                "select pg_catalog.pg_read_binary_file(%s, %s, %s, true)", (name, offset, count)
            )
            ((part,),) = cursor.fetchall()
            if part is None or len(part) < count:
                raise LookupError(name)
            yield bytes(part)
            place += count


def commits(log: bytes, since: LogPosition) -> Iterator[tuple[int, bytes]]:
    """Yield each commit of *log*, which begins at *since*: its database, and its messages."""
    records, places = _without_pages(log, since)
    place = 0
    while len(records) - place >= _HEADER.size:
        length, _, _, info, manager, _, _ = _HEADER.unpack_from(records, place)
        if length == 0 or (manager, info & 0xF0) == _SWITCHES:
            later = [each for each in places if each > place]
            if not later:
                return
            place = later[0]
            continue
        if length < _HEADER.size:
            raise ValueError(length)
        if place + length > len(records):
            return
        if manager == _XACT and info & 0x70 in _COMMITS and info & _HAS_INFO:
            yield _commit(records[place : place + length], since.version)
        place += length + -length % 8


def _without_pages(log: bytes, since: LogPosition) -> tuple[bytes, list[int]]:
    """Return *log* without the headers of its pages, and where in that a file begins."""
    parts, places, size, at = [], [], 0, 0
    while at < len(log):
        offset = (since.place + at) % since.page
        end = at + since.page - offset
        if offset == 0:
            (flags,) = struct.unpack_from("<H", log, at + 2)
            begins_file = (since.place + at) % since.segment == 0
            if begins_file:
                places.append(size)
            at += 40 if flags & 2 or begins_file else 24
        parts.append(log[at:end])
        size += len(parts[-1])
        at = end
    return b"".join(parts), places


def _commit(record: bytes, version: int) -> tuple[int, bytes]:
    at = _HEADER.size
    while record[at] in (252, 253):  # the transaction above it; where it was replicated from
        at += 5 if record[at] == 252 else 3
    length = record[at + 1] if record[at] == 255 else struct.unpack_from("<I", record, at + 1)[0]
    data = record[len(record) - length :]
    (about,) = struct.unpack_from("<I", data, 8)
    at, database = 12, 0
    if about & _DATABASE:
        database, at = struct.unpack_from("<I", data, at)[0], at + 8
    statistic = 16 if version >= 180000 else 12
    for kind, size in ((_CHILDREN, 4), (_FILES, 12), (_STATISTICS, statistic)):
        if about & kind:
            at += 4 + size * struct.unpack_from("<i", data, at)[0]
    if not about & _MESSAGES:
        return database, b""
    (count,) = struct.unpack_from("<i", data, at)
    return database, data[at + 4 : at + 4 + 16 * count]


def _is_shared(messages: bytes) -> bool:
    """Whether *messages* tell sessions to forget rows of a shared catalog."""
    for kind, database, relation in struct.iter_unpack("<b3xII4x", messages):
        if database == 0 and (kind >= 0 or (kind == _SNAPSHOT and relation not in _ABOUT_OBJECTS)):
            return True
    return False


_WRITTEN = """
    select (pg_catalog.pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::int8,
           (select timeline_id from pg_catalog.pg_control_checkpoint())
"""
_POSITION = """
    select (pg_catalog.pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::int8,
           (select timeline_id from pg_catalog.pg_control_checkpoint()),
           (select setting::int8 from pg_catalog.pg_settings where name = 'wal_segment_size'),
           (select setting::int8 from pg_catalog.pg_settings where name = 'wal_block_size'),
           pg_catalog.current_setting('server_version_num')::int,
           pg_catalog.current_setting('wal_level') <> 'minimal'
"""
