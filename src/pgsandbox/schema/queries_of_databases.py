"""The queries for schemas, extensions and what a database has besides; see `queries`."""

# ruff: noqa: S608 - what is put into a query is a constant of these modules

from __future__ import annotations

from pgsandbox.schema.queries import OWN, options, privileges

DATABASE = """
select 'pg_database', d.oid::bigint, 0, 'setting', quote_ident(split_part(s, '=', 1)),
       quote_ident(split_part(s, '=', 1)), 'setting', null, null, null, null, 0,
       jsonb_build_object('value', substr(s, strpos(s, '=') + 1))
  from pg_db_role_setting r
  join pg_database d on d.oid = r.setdatabase
  cross join unnest(r.setconfig) s
 where d.datname = current_database() and r.setrole = 0 and s not like 'jit=%'
"""

SCHEMAS = f"""
select 'pg_namespace', n.oid::bigint, 0, 'schema', quote_ident(n.nspname), quote_ident(n.nspname),
       'schema', null, null, format('CREATE SCHEMA %I', n.nspname), null, 0,
       jsonb_build_object('owner', pg_get_userbyid(n.nspowner),
                          'privileges', {privileges("n.nspacl", "n", "n.nspowner")})
  from pg_namespace n where {OWN}
"""

EXTENSIONS = """
select 'pg_extension', e.oid::bigint, 0, 'extension', quote_ident(e.extname),
       quote_ident(e.extname), 'extension', null, null,
       format('CREATE EXTENSION %I WITH SCHEMA %I VERSION %L', e.extname, n.nspname, e.extversion),
       null, 0, jsonb_build_object('version', e.extversion, 'schema', n.nspname::text)
  from pg_extension e join pg_namespace n on n.oid = e.extnamespace
"""

EVENT_TRIGGERS = """
select 'pg_event_trigger', e.oid::bigint, 0, 'event trigger', quote_ident(e.evtname),
       quote_ident(e.evtname), 'event trigger', null, null, null, null, 0,
       jsonb_build_object(
         'event', e.evtevent,
         'tags', (select string_agg(t, ', ' order by t) from unnest(e.evttags) t),
         'function', e.evtfoid::regprocedure::text,
         'firing', case e.evtenabled when 'D' then 'disabled' when 'R' then 'on replicas'
                                     when 'A' then 'always' end,
         'owner', pg_get_userbyid(e.evtowner))
  from pg_event_trigger e
"""

FOREIGN = f"""
select 'pg_foreign_data_wrapper', w.oid::bigint, 0, 'foreign-data wrapper', quote_ident(w.fdwname),
       quote_ident(w.fdwname), 'foreign-data wrapper', null, null, null, null::text[], 0,
       jsonb_build_object('functions', concat_ws(', ', nullif(w.fdwhandler::regproc::text, '-'),
                                                 nullif(w.fdwvalidator::regproc::text, '-')),
                          'options', {options("w.fdwoptions")},
                          'owner', pg_get_userbyid(w.fdwowner))
  from pg_foreign_data_wrapper w
union all
select 'pg_foreign_server', s.oid::bigint, 0, 'foreign server', quote_ident(s.srvname),
       quote_ident(s.srvname), 'foreign server', 'foreign-data wrapper', quote_ident(w.fdwname),
       null, null, 0,
       jsonb_build_object('type', s.srvtype, 'version', s.srvversion,
                          'options', {options("s.srvoptions")},
                          'owner', pg_get_userbyid(s.srvowner))
  from pg_foreign_server s join pg_foreign_data_wrapper w on w.oid = s.srvfdw
union all
select 'pg_user_mapping', u.umid::bigint, 0, 'user mapping', format('%I.%I', u.srvname, u.usename),
       quote_ident(u.usename), 'user mapping', 'foreign server', quote_ident(u.srvname), null, null,
       0, jsonb_build_object('options', (select string_agg(split_part(o, '=', 1), ', ' order by o)
                                           from unnest(u.umoptions) o))
  from pg_user_mappings u
"""

PUBLICATIONS = """
select 'pg_publication', p.oid::bigint, 0, 'publication', quote_ident(p.pubname),
       quote_ident(p.pubname), 'publication', null, null, null, null, 0,
       jsonb_build_object(
         'operations', concat_ws(', ', case when p.pubinsert then 'insert' end,
             case when p.pubupdate then 'update' end, case when p.pubdelete then 'delete' end,
             case when p.pubtruncate then 'truncate' end),
         'tables', case when p.puballtables then 'all' else (
             select string_agg(format('%s%s', t.prrelid::regclass,
                        coalesce(' where ' || pg_get_expr(
                            (to_jsonb(t) ->> 'prqual')::pg_node_tree, t.prrelid), '')), ', '
                        order by t.prrelid::regclass::text)
               from pg_publication_rel t where t.prpubid = p.oid) end,
         'partitions', case when p.pubviaroot then 'via root' end,
         'owner', pg_get_userbyid(p.pubowner))
  from pg_publication p
"""

DEFAULT_PRIVILEGES = f"""
select 'pg_default_acl', a.oid::bigint, 0, 'default privileges', f.name, f.name,
       'default privileges', case when n.oid is not null then 'schema' end, quote_ident(n.nspname),
       null, null, 0,
       jsonb_build_object('value', {privileges("a.defaclacl", "r", "a.defaclrole")})
  from pg_default_acl a
  left join pg_namespace n on n.oid = a.defaclnamespace
  cross join lateral (
      select concat_ws(' ', case a.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences'
                                 when 'f' then 'functions' when 'T' then 'types'
                                 when 'n' then 'schemas' else a.defaclobjtype::text end,
                       'of', quote_ident(pg_get_userbyid(a.defaclrole)),
                       'in ' || quote_ident(n.nspname)) as name) f
"""

OF_SCHEMAS = (DATABASE, SCHEMAS, EXTENSIONS)
"""What tables and types stand in."""

OF_DATABASES = (EVENT_TRIGGERS, FOREIGN, PUBLICATIONS, DEFAULT_PRIVILEGES)
"""What names tables and types."""
