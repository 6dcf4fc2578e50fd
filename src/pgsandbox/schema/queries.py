"""What the queries of a catalog share, and those for comments and dependencies.

Every query gives the rows of one kind of object: the catalog, OID and sub-id by which ``pg_depend``
and ``pg_description`` know it; its kind, qualified name, last name and label; what it is a part of;
the statement that makes it; and its facets as JSON, in the server's own words. ``NULL`` is a facet
that does not apply.

The manual's chapter "System Catalogs" explains every column that is read here. What newer versions
of the server have is read through ``to_jsonb``, since a column that is missing would be an error.
"""

# ruff: noqa: S608 - what is put into a query is a constant of these modules

from __future__ import annotations

OWN = "n.nspname !~ '^pg_' and n.nspname <> 'information_schema'"
"""Whether a schema holds what people make."""


def privileges(acl: str, kind: str, owner: str) -> str:
    """Return who may do what, however it came about; the owner is not named.

    ``acldefault`` is what holds where nothing was granted or revoked (manual, 9.28.2).
    """
    return f"""(
        select string_agg(format('%s: %s', who, what), '; ' order by who)
          from (select case when granted.grantee = 0 then 'everybody' when granted.grantee = {owner}
                            then 'the owner' else pg_get_userbyid(granted.grantee)::text end as who,
                       string_agg(lower(granted.privilege_type)
                                  || case when granted.is_grantable
                                          then ' with grant option' else '' end,
                                  ', ' order by granted.privilege_type) as what
                  from aclexplode(coalesce({acl}, acldefault('{kind}', {owner}))) granted
                 group by 1) as each_one)"""


def options(column: str) -> str:
    """Return the options in a ``text[]`` in one order."""
    return f"(select string_agg(o, ', ' order by o) from unnest({column}) o)"


COMMENTS = """
select classoid::regclass::text, objoid::bigint, objsubid, description from pg_description
 where objoid >= 16384 or classoid = 'pg_namespace'::regclass or classoid = 'pg_extension'::regclass
"""

MEMBERS_OF_EXTENSIONS = """
select classid::regclass::text, objid::bigint, refobjid::bigint from pg_depend where deptype = 'e'
"""

DEPENDENCIES = """
select classid::regclass::text, objid::bigint, objsubid,
       refclassid::regclass::text, refobjid::bigint, refobjsubid
  from pg_depend where deptype <> 'e' and objid >= 16384
"""

# What depends, or is depended upon, in the name of something that people see.
STAND_INS = """
select 'pg_attrdef', oid::bigint, 'pg_class', adrelid::bigint, adnum::int from pg_attrdef
union all
select 'pg_rewrite', oid::bigint, 'pg_class', ev_class::bigint, 0 from pg_rewrite
 where rulename = '_RETURN' and oid >= 16384
union all
select 'pg_type', oid::bigint, 'pg_class', typrelid::bigint, 0 from pg_type
 where typrelid <> 0 and oid >= 16384
   and (select relkind from pg_class c where c.oid = typrelid) <> 'c'
union all
select 'pg_type', typarray::bigint, 'pg_type', oid::bigint, 0 from pg_type
 where typarray <> 0 and oid >= 16384
union all
select 'pg_type', rngmultitypid::bigint, 'pg_type', rngtypid::bigint, 0 from pg_range
 where rngtypid >= 16384
union all
select 'pg_publication_rel', oid::bigint, 'pg_publication', prpubid::bigint, 0
  from pg_publication_rel
union all
select 'pg_class', conindid::bigint, 'pg_constraint', oid::bigint, 0 from pg_constraint
 where contype in ('p', 'u', 'x') and conindid <> 0
"""
