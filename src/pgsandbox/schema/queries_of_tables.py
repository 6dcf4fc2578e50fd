"""The queries for tables and what belongs to them; the form of the rows is that of `queries`."""

# ruff: noqa: S608 - what is put into a query is a constant of these modules

from __future__ import annotations

from pgsandbox.schema.queries import OWN, options, privileges

RELATIONS = f"""
select 'pg_class', c.oid::bigint, 0, 'relation', format('%I.%I', n.nspname, c.relname),
       quote_ident(c.relname),
       case c.relkind when 'v' then 'view' when 'm' then 'materialized view' else 'table' end,
       'schema', quote_ident(n.nspname),
       case when c.relkind in ('v', 'm') then format(E'CREATE %s %I.%I%s AS\\n%s',
           case c.relkind when 'v' then 'VIEW' else 'MATERIALIZED VIEW' end, n.nspname, c.relname,
           ' WITH (' || {options("c.reloptions")} || ')', rtrim(pg_get_viewdef(c.oid), ';')) end,
       null, 0,
       jsonb_build_object(
         'kind', case c.relkind when 'r' then 'table' when 'p' then 'partitioned table'
                                when 'f' then 'foreign table' when 'v' then 'view'
                                else 'materialized view' end,
         'persistence', case c.relpersistence when 'u' then 'unlogged' end,
         'partition-key', pg_get_partkeydef(c.oid),
         'partition', case when c.relispartition then (
             select format('of %s %s', i.inhparent::regclass, pg_get_expr(c.relpartbound, c.oid))
               from pg_inherits i where i.inhrelid = c.oid) end,
         'parents', case when not c.relispartition then (
             select string_agg(i.inhparent::regclass::text, ', ' order by i.inhseqno)
               from pg_inherits i where i.inhrelid = c.oid) end,
         'access-method', (select am.amname from pg_am am
                            where am.oid = c.relam and am.amname <> 'heap'),
         'options', {options("c.reloptions")},
         'toast-options', (select {options("t.reloptions")} from pg_class t
                            where t.oid = c.reltoastrelid),
         'tablespace', (select spcname from pg_tablespace t where t.oid = c.reltablespace),
         'replica-identity', case c.relreplident when 'f' then 'full' when 'n' then 'nothing'
             when 'i' then 'using index ' || (
                 select quote_ident(x.relname)
                   from pg_index i join pg_class x on x.oid = i.indexrelid
                  where i.indrelid = c.oid and i.indisreplident) end,
         'row-security', nullif(concat_ws(', ', case when c.relrowsecurity then 'enabled' end,
                                          case when c.relforcerowsecurity then 'forced' end), ''),
         'row-type', case when c.reloftype <> 0 then format_type(c.reloftype, null) end,
         'server', (select format('%I%s', s.srvname,
                                  coalesce(' options ' || {options("f.ftoptions")}, ''))
                      from pg_foreign_table f join pg_foreign_server s on s.oid = f.ftserver
                     where f.ftrelid = c.oid),
         'definition', case when c.relkind in ('v', 'm') then rtrim(pg_get_viewdef(c.oid), ';') end,
         'population', case when c.relkind = 'm' and not c.relispopulated then 'with no data' end,
         'column-defaults', case when c.relkind = 'v' then (
             select string_agg(format('%I default %s', a.attname, pg_get_expr(d.adbin, d.adrelid)),
                               ', ' order by a.attnum)
               from pg_attrdef d
               join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
              where d.adrelid = c.oid) end,
         'column-comments', case when c.relkind in ('v', 'm') then (
             select string_agg(format('%I: %s', a.attname, d.description), E'\\n' order by a.attnum)
               from pg_description d
               join pg_attribute a on a.attrelid = d.objoid and a.attnum = d.objsubid
              where d.classoid = 'pg_class'::regclass and d.objoid = c.oid and d.objsubid > 0) end,
         'owner', pg_get_userbyid(c.relowner),
         'privileges', {privileges("c.relacl", "r", "c.relowner")})
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'p', 'f', 'v', 'm') and {OWN}
"""

COLUMNS = f"""
select 'pg_class', c.oid::bigint, a.attnum::int, 'column',
       format('%I.%I.%I', n.nspname, c.relname, a.attname), quote_ident(a.attname), 'column',
       'relation', format('%I.%I', n.nspname, c.relname), null,
       (select array_agg(format('%s.%I', i.inhparent::regclass, a.attname))
          from pg_inherits i where i.inhrelid = c.oid and a.attinhcount > 0),
       (row_number() over (partition by c.oid order by a.attnum))::int,
       jsonb_build_object(
         'type', format_type(a.atttypid, a.atttypmod),
         'nullability', case when a.attnotnull or k.oid is not null then concat_ws(' ', 'not null',
             case when k.connoinherit then 'no inherit' end,
             case when not k.convalidated then 'not valid' end) end,
         'value', case
             when a.attidentity = 'a' then 'generated always as identity'
             when a.attidentity = 'd' then 'generated by default as identity'
             when a.attgenerated <> '' then format('generated always as (%s) %s',
                 pg_get_expr(d.adbin, d.adrelid),
                 case a.attgenerated when 's' then 'stored' else 'virtual' end)
             else pg_get_expr(d.adbin, d.adrelid) end,
         'collation', case when a.attcollation <> t.typcollation
                           then a.attcollation::regcollation::text end,
         'storage', case when a.attstorage <> t.typstorage then case a.attstorage
             when 'p' then 'plain' when 'e' then 'external' when 'm' then 'main' else 'extended' end
             end,
         'compression', case a.attcompression::text when 'p' then 'pglz' when 'l' then 'lz4' end,
         'statistics-target', nullif(to_jsonb(a) ->> 'attstattarget', '-1'),
         'options', {options("a.attoptions")},
         'foreign-options', {options("a.attfdwoptions")},
         'privileges', case when a.attacl is not null then
             nullif({privileges("a.attacl", "c", "c.relowner")}, '') end)
  from pg_attribute a
  join pg_class c on c.oid = a.attrelid
  join pg_namespace n on n.oid = c.relnamespace
  join pg_type t on t.oid = a.atttypid
  left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  left join pg_constraint k on k.conrelid = c.oid and k.contype = 'n' and k.conkey[1] = a.attnum
 where c.relkind in ('r', 'p', 'f') and a.attnum > 0 and not a.attisdropped and {OWN}
"""

# What a table has from its parents is theirs: a partition's part of a constraint, an inherited
# check. NOT NULL is a property of its column, whatever name PostgreSQL 18 gives the constraint.
CONSTRAINTS = f"""
select 'pg_constraint', k.oid::bigint, 0, 'constraint',
       format('%I.%I.%I', n.nspname, c.relname, k.conname), quote_ident(k.conname),
       case k.contype when 'p' then 'primary key' when 'u' then 'unique' when 'f' then 'foreign key'
                      when 'c' then 'check' else 'exclusion' end,
       'relation', format('%I.%I', n.nspname, c.relname),
       format('ALTER TABLE %I.%I ADD CONSTRAINT %I %s', n.nspname, c.relname, k.conname,
              pg_get_constraintdef(k.oid)),
       null, 0,
       jsonb_build_object(
         'definition', pg_get_constraintdef(k.oid),
         'options', {options("x.reloptions")},
         'tablespace', (select spcname from pg_tablespace t where t.oid = x.reltablespace),
         'clustering', case when i.indisclustered then 'the table is clustered by it' end,
         'index-validity', case when not i.indisvalid then 'invalid' end,
         'index-comment', obj_description(x.oid, 'pg_class'))
  from pg_constraint k
  join pg_class c on c.oid = k.conrelid
  join pg_namespace n on n.oid = c.relnamespace
  left join pg_class x on x.oid = k.conindid and k.contype in ('p', 'u', 'x')
  left join pg_index i on i.indexrelid = x.oid
 where k.contype in ('p', 'u', 'f', 'c', 'x') and k.conparentid = 0 and k.coninhcount = 0 and {OWN}
"""

INDEXES = f"""
select 'pg_class', x.oid::bigint, 0, 'index',
       format('%I.%I.%I', n.nspname, c.relname, x.relname), quote_ident(x.relname), 'index',
       'relation', format('%I.%I', n.nspname, c.relname),
       replace(pg_get_indexdef(x.oid), ' ON ONLY ', ' ON '), null, 0,
       jsonb_build_object(
         'definition', pg_get_indexdef(x.oid),
         'uniqueness', case when i.indisunique then 'unique' end,
         'method', m.amname,
         'include', (select string_agg(pg_get_indexdef(x.oid, p, true), ', ' order by p)
                       from generate_series(i.indnkeyatts + 1, i.indnatts) p),
         'predicate', pg_get_expr(i.indpred, i.indrelid),
         'nulls', case when to_jsonb(i) ->> 'indnullsnotdistinct' = 'true' then 'not distinct' end,
         'options', {options("x.reloptions")},
         'tablespace', (select spcname from pg_tablespace t where t.oid = x.reltablespace),
         'validity', case when not i.indisvalid then 'invalid' end,
         'clustering', case when i.indisclustered then 'the table is clustered by it' end,
         'statistics-target', (select string_agg(format('%s: %s', a.attnum, s), ', '
                                                 order by a.attnum)
                          from pg_attribute a, nullif(to_jsonb(a) ->> 'attstattarget', '-1') s
                         where a.attrelid = x.oid and s is not null))
  from pg_index i
  join pg_class x on x.oid = i.indexrelid
  join pg_class c on c.oid = i.indrelid
  join pg_namespace n on n.oid = c.relnamespace
  join pg_am m on m.oid = x.relam
 where not x.relispartition and {OWN}
   and not exists (select from pg_constraint k
                    where k.conindid = x.oid and k.contype in ('p', 'u', 'x'))
"""

TRIGGERS = f"""
select 'pg_trigger', t.oid::bigint, 0, 'trigger',
       format('%I.%I.%I', n.nspname, c.relname, t.tgname), quote_ident(t.tgname), 'trigger',
       'relation', format('%I.%I', n.nspname, c.relname), pg_get_triggerdef(t.oid), null, 0,
       jsonb_build_object(
         'definition', pg_get_triggerdef(t.oid),
         'firing', case t.tgenabled when 'D' then 'disabled' when 'R' then 'on replicas'
                                    when 'A' then 'always' end)
  from pg_trigger t
  join pg_class c on c.oid = t.tgrelid
  join pg_namespace n on n.oid = c.relnamespace
 where not t.tgisinternal and t.tgparentid = 0 and {OWN}
"""

RULES = f"""
select 'pg_rewrite', r.oid::bigint, 0, 'rule',
       format('%I.%I.%I', n.nspname, c.relname, r.rulename), quote_ident(r.rulename), 'rule',
       'relation', format('%I.%I', n.nspname, c.relname), pg_get_ruledef(r.oid), null, 0,
       jsonb_build_object(
         'definition', pg_get_ruledef(r.oid),
         'firing', case r.ev_enabled when 'D' then 'disabled' when 'R' then 'on replicas'
                                     when 'A' then 'always' end)
  from pg_rewrite r
  join pg_class c on c.oid = r.ev_class
  join pg_namespace n on n.oid = c.relnamespace
 where r.rulename <> '_RETURN' and {OWN}
"""

POLICIES = f"""
select 'pg_policy', p.oid::bigint, 0, 'policy',
       format('%I.%I.%I', n.nspname, c.relname, p.polname), quote_ident(p.polname), 'policy',
       'relation', format('%I.%I', n.nspname, c.relname),
       concat_ws(' ', format('CREATE POLICY %I ON %I.%I', p.polname, n.nspname, c.relname),
           case when not p.polpermissive then 'AS RESTRICTIVE' end, 'FOR ' || f.command,
           'TO ' || f.roles, 'USING (' || pg_get_expr(p.polqual, p.polrelid) || ')',
           'WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')'),
       null, 0,
       jsonb_build_object(
         'command', f.command,
         'restriction', case when p.polpermissive then 'permissive' else 'restrictive' end,
         'roles', f.roles,
         'using', pg_get_expr(p.polqual, p.polrelid),
         'check', pg_get_expr(p.polwithcheck, p.polrelid))
  from pg_policy p
  join pg_class c on c.oid = p.polrelid
  join pg_namespace n on n.oid = c.relnamespace
  cross join lateral (
      select case p.polcmd when 'r' then 'SELECT' when 'a' then 'INSERT' when 'w' then 'UPDATE'
                           when 'd' then 'DELETE' else 'ALL' end as command,
             (select string_agg(case when r = 0 then 'PUBLIC'
                                     else quote_ident(pg_get_userbyid(r)) end, ', ' order by r)
                from unnest(p.polroles) r) as roles) f
 where {OWN}
"""

SEQUENCES = f"""
select 'pg_class', c.oid::bigint, 0, 'sequence', format('%I.%I', n.nspname, c.relname),
       quote_ident(c.relname), 'sequence', 'schema', quote_ident(n.nspname),
       format('CREATE %sSEQUENCE %I.%I AS %s INCREMENT BY %s MINVALUE %s MAXVALUE %s START WITH %s '
              'CACHE %s%s', case when c.relpersistence = 'u' then 'UNLOGGED ' else '' end,
              n.nspname, c.relname, format_type(s.seqtypid, null), s.seqincrement, s.seqmin,
              s.seqmax, s.seqstart, s.seqcache, case when s.seqcycle then ' CYCLE' else '' end),
       null, 0,
       jsonb_build_object(
         'type', format_type(s.seqtypid, null), 'start', s.seqstart::text,
         'increment', s.seqincrement::text, 'minimum', s.seqmin::text, 'maximum', s.seqmax::text,
         'cache', s.seqcache::text, 'cycle', case when s.seqcycle then 'cycles' end,
         'persistence', case c.relpersistence when 'u' then 'unlogged' end,
         'owned-by', (select format('%s.%I', a.attrelid::regclass, a.attname)
                        from pg_depend d join pg_attribute a
                          on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
                       where d.classid = 'pg_class'::regclass and d.objid = c.oid
                         and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')
                         and d.refobjsubid > 0),
         'owner', pg_get_userbyid(c.relowner),
         'privileges', {privileges("c.relacl", "s", "c.relowner")})
  from pg_sequence s
  join pg_class c on c.oid = s.seqrelid
  join pg_namespace n on n.oid = c.relnamespace
 where {OWN}
"""

STATISTICS = f"""
select 'pg_statistic_ext', s.oid::bigint, 0, 'statistics', format('%I.%I', n.nspname, s.stxname),
       quote_ident(s.stxname), 'statistics', 'relation', s.stxrelid::regclass::text,
       pg_get_statisticsobjdef(s.oid), null, 0,
       jsonb_build_object(
         'definition', pg_get_statisticsobjdef(s.oid),
         'target', nullif(to_jsonb(s) ->> 'stxstattarget', '-1'),
         'owner', pg_get_userbyid(s.stxowner))
  from pg_statistic_ext s join pg_namespace n on n.oid = s.stxnamespace
 where {OWN}
"""

OF_TABLES = (
    RELATIONS,
    COLUMNS,
    CONSTRAINTS,
    INDEXES,
    TRIGGERS,
    RULES,
    POLICIES,
    SEQUENCES,
    STATISTICS,
)
"""Those of a table before those of its parts."""
