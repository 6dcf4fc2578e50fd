"""Reads of a schema, time and again, what has changed since it was read last.

Whatever changes an object writes its rows of the catalog anew, so that their ``xmin`` tells
(manual, 5.6): one cheap query finds the tables, views and sequences with such rows. These are read,
and so is what depends on them, since a definition names what it uses. Where anything else has
changed (types, functions, roles, schemas), or depends on what has, all is read.
"""

from __future__ import annotations

from types import MappingProxyType

from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from pgsandbox.schema.catalog import Reading, read, reading_in
from pgsandbox.schema.objects import Catalog, Key, SchemaObject

_OF_A_RELATION = frozenset(
    {
        *{"relation", "column", "constraint", "index", "trigger", "rule", "policy"},
        *{"sequence", "statistics"},
    }
)


class Rereader:
    """Reads one database's schema again and again; `read_catalog` gives the same."""

    def __init__(self) -> None:
        self.relations_read = 0
        """How many tables, views and sequences the last read has looked at; all if negative."""
        self._rest: str | None = None
        self._marks: dict[int, str] = {}
        self._last: Reading | None = None
        self._catalog = Catalog(MappingProxyType({}))

    def read(self, connection: Connection) -> Catalog:
        """Return the schema as it is now, by the rules of `read_catalog`."""
        with reading_in(connection) as cursor:
            cursor.execute(_MARKS)
            rows = cursor.fetchall()
            marks = {oid: mark for oid, mark in rows if oid}
            rest = next((mark for oid, mark in rows if not oid), "")
            known = {*self._marks, *marks}
            touched = {oid for oid in known if self._marks.get(oid) != marks.get(oid)}
            wider = self._with_dependents(touched) if rest == self._rest else None
            self._last = self._read(cursor, wider)
            self._rest, self._marks = rest, marks
        self._catalog = self._last.catalog(self._catalog)
        return self._catalog

    def _read(self, cursor: Cursor, oids: set[int] | None) -> Reading:
        last = self._last
        self.relations_read = -1 if oids is None else len(oids)
        if oids is None or last is None:
            return read(cursor)
        if not oids:
            return last
        return read(cursor, sorted(oids), last.without(oids))

    def _with_dependents(self, touched: set[int]) -> set[int] | None:
        """Return *touched* and the relations that depend on them; None if something else does."""
        last = self._last
        if last is None:
            return None
        found, new = set(touched), set(touched)
        dependents: dict[Key, list[SchemaObject]] = {}
        for each in self._catalog.objects.values():
            for need in each.needs:
                dependents.setdefault(need, []).append(each)
        while new:
            keys = [key for key, oid in last.owners.items() if oid in new]
            new = set()
            for each in (each for key in keys for each in dependents.get(key, ())):
                if each.key.kind not in _OF_A_RELATION:
                    return None
                new.add(last.owners[each.key])
            new -= found
            found |= new
        return found


# Each row of the catalog that says something of a relation, by the relation whose queries read it:
# an index's and a toast table's are its table's. The row without a relation is of all the rest.
_MARKS = """
with places as (
    select c.oid, coalesce(i.indrelid, t.oid, c.oid) as place, c.relkind
      from pg_class c
      left join pg_index i on i.indexrelid = c.oid
      left join pg_class t on t.reltoastrelid = c.oid and c.relkind = 't'
     where c.oid >= 16384
), marks(place, mark) as (
    select p.place, concat('class', c.oid, c.xmin) from pg_class c join places p using (oid)
     where c.relkind <> 'c'
    union all
    select p.place, concat('column', a.attrelid, ' ', a.attnum, ' ', a.xmin)
      from pg_attribute a join places p on p.oid = a.attrelid
     where p.relkind not in ('c', 't') and a.attnum > 0
    union all
    select indrelid, concat('index', indexrelid, ' ', xmin) from pg_index where indrelid >= 16384
    union all select adrelid, concat('default', oid, ' ', xmin) from pg_attrdef
    union all
    select conrelid, concat('constraint', oid, ' ', xmin) from pg_constraint where conrelid >= 16384
    union all select tgrelid, concat('trigger', oid, ' ', xmin) from pg_trigger
    union all
    select ev_class, concat('rule', oid, ' ', xmin) from pg_rewrite where ev_class >= 16384
    union all select polrelid, concat('policy', oid, ' ', xmin) from pg_policy
    union all select stxrelid, concat('statistics', oid, ' ', xmin) from pg_statistic_ext
    union all select seqrelid, concat('sequence', seqrelid, ' ', xmin) from pg_sequence
    union all
    select inhrelid, concat('inherits', inhparent, ' ', inhseqno, ' ', xmin) from pg_inherits
    union all
    select p.place, concat('comment', d.objoid, ' ', d.objsubid, ' ', d.xmin)
      from pg_description d join places p on p.oid = d.objoid
     where d.classoid = 'pg_class'::regclass
    union all
    select p.place, concat('depends', d.objid, ' ', d.objsubid, ' ', d.refclassid, ' ', d.refobjid,
                           ' ', d.refobjsubid, d.deptype, d.xmin)
      from pg_depend d join places p on p.oid = d.objid
     where d.classid = 'pg_class'::regclass
    union all
    select null, concat('composite', c.oid, ' ', c.xmin) from pg_class c where c.relkind = 'c'
       and c.oid >= 16384
    union all
    select null, concat('composite', a.attrelid, ' ', a.attnum, ' ', a.xmin)
      from pg_attribute a join places p on p.oid = a.attrelid where p.relkind = 'c'
    union all
    select null, concat('comment', classoid, ' ', objoid, ' ', objsubid, ' ', xmin)
      from pg_description
     where classoid <> 'pg_class'::regclass
       and (objoid >= 16384 or classoid in ('pg_namespace'::regclass, 'pg_extension'::regclass))
    union all
    select null, concat('depends', classid, ' ', objid, ' ', refclassid, ' ', refobjid, ' ',
                        refobjsubid, deptype, xmin)
      from pg_depend
     where objid >= 16384 and classid in (
         'pg_proc'::regclass, 'pg_opclass'::regclass, 'pg_opfamily'::regclass,
         'pg_operator'::regclass, 'pg_cast'::regclass, 'pg_collation'::regclass)
    union all
    select null, concat('type', t.oid, ' ', t.xmin)
      from pg_type t
      left join pg_class c on c.oid = t.typrelid
      left join pg_type e on e.oid = t.typelem and t.typcategory = 'A'
      left join pg_class r on r.oid = e.typrelid
     where t.oid >= 16384 and coalesce(c.relkind, r.relkind, 'c') = 'c'
    union all
    select null, concat('domain constraint', oid, ' ', xmin) from pg_constraint where contypid <> 0
    union all select null, concat('role', oid, rolname) from pg_roles
    union all select null, concat('user mapping', m) from pg_user_mappings m
    {rest}
)
select place::bigint, md5(string_agg(mark, ',' order by mark)) from marks group by 1
"""

_OF_THE_REST = {
    **dict.fromkeys(
        ("pg_namespace", "pg_extension", "pg_db_role_setting", "pg_tablespace"), "true"
    ),
    **dict.fromkeys(
        (
            *("pg_proc", "pg_operator", "pg_opclass", "pg_opfamily", "pg_cast", "pg_collation"),
            *("pg_amop", "pg_amproc", "pg_am", "pg_language", "pg_event_trigger", "pg_enum"),
            *("pg_foreign_server", "pg_foreign_data_wrapper", "pg_publication"),
            *("pg_publication_rel", "pg_default_acl", "pg_ts_dict", "pg_ts_config"),
            *("pg_ts_template", "pg_ts_parser"),
        ),
        "oid >= 16384",
    ),
    "pg_range": "rngtypid >= 16384",
    "pg_aggregate": "aggfnoid::oid >= 16384",
    "pg_ts_config_map": "mapcfg >= 16384",
    "pg_foreign_table": "true",
    "pg_database": "datname = current_database()",
}
_MARKS = _MARKS.replace(
    "    {rest}\n",
    "".join(
        f"    union all select null, concat('{name} ', ctid, xmin) from {name} where {which}\n"  # noqa: S608
        for name, which in _OF_THE_REST.items()
    ),
)
