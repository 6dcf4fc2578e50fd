"""The queries for types, routines and operators; the form of the rows is that of `queries`."""

# ruff: noqa: S608 - what is put into a query is a constant of these modules

from __future__ import annotations

from pgsandbox.schema.queries import OWN, options, privileges

TYPES = f"""
select 'pg_type', t.oid::bigint, 0, 'type', format('%I.%I', n.nspname, t.typname),
       quote_ident(t.typname), f.kind, 'schema', quote_ident(n.nspname),
       case f.kind
         when 'enum' then format('CREATE TYPE %I.%I AS ENUM (%s)', n.nspname, t.typname, f.labels)
         when 'composite' then format('CREATE TYPE %I.%I AS (%s)', n.nspname, t.typname, f.parts)
         when 'domain' then concat_ws(' ',
             format('CREATE DOMAIN %I.%I AS %s', n.nspname, t.typname, f.base),
             'COLLATE ' || f.sorting, 'DEFAULT ' || f.preset,
             case when t.typnotnull then 'NOT NULL' end)
       end,
       null, 0,
       jsonb_build_object(
         'kind', f.kind,
         'values', f.labels,
         'attributes', f.parts,
         'type', f.base,
         'default', f.preset,
         'nullability', case when t.typtype = 'd' and t.typnotnull then 'not null' end,
         'collation', f.sorting,
         'subtype', format_type(r.rngsubtype, null),
         'operator-class', r.rngsubopc_name,
         'functions', case when r.rngtypid is not null then nullif(concat_ws(', ',
             'canonical ' || nullif(r.rngcanonical::text, '-'),
             'difference ' || nullif(r.rngsubdiff::text, '-')), '')
             when t.typtype = 'b' then concat_ws(', ', t.typinput, t.typoutput, t.typreceive,
                                                 t.typsend) end,
         'multirange', r.multirange,
         'owner', pg_get_userbyid(t.typowner),
         'privileges', {privileges("t.typacl", "T", "t.typowner")})
  from pg_type t
  join pg_namespace n on n.oid = t.typnamespace
  left join pg_class c on c.oid = t.typrelid
  left join lateral (
      select r.*, o.opcname as rngsubopc_name,
             format_type((to_jsonb(r) ->> 'rngmultitypid')::oid, null) as multirange
        from pg_range r join pg_opclass o on o.oid = r.rngsubopc
       where r.rngtypid = t.oid) r on true
  cross join lateral (
      select case t.typtype when 'e' then 'enum' when 'd' then 'domain' when 'c' then 'composite'
                            when 'r' then 'range' when 'p' then 'shell' else 'base' end as kind,
             case when t.typtype = 'e' then coalesce((
                 select string_agg(quote_literal(e.enumlabel), ', ' order by e.enumsortorder)
                   from pg_enum e where e.enumtypid = t.oid), '') end as labels,
             case when t.typtype = 'c' then coalesce((
                 select string_agg(concat_ws(' ', quote_ident(a.attname),
                            format_type(a.atttypid, a.atttypmod),
                            case when a.attcollation <> y.typcollation
                                 then 'COLLATE ' || a.attcollation::regcollation::text end),
                        ', ' order by a.attnum)
                   from pg_attribute a join pg_type y on y.oid = a.atttypid
                  where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped),
                 '') end as parts,
             case when t.typtype = 'd' then format_type(t.typbasetype, t.typtypmod) end as base,
             case when t.typtype = 'd' then pg_get_expr(t.typdefaultbin, 0) end as preset,
             case when t.typtype in ('d', 'r')
                   and coalesce(nullif(r.rngcollation, 0), t.typcollation) <> (
                       select y.typcollation from pg_type y
                        where y.oid = coalesce(r.rngsubtype, t.typbasetype))
                  then coalesce(nullif(r.rngcollation, 0), t.typcollation)::regcollation::text
              end as sorting) f
 where {OWN} and (t.typrelid = 0 or c.relkind = 'c') and t.typtype <> 'm'
   and not exists (select from pg_type e where e.typarray = t.oid)
"""

DOMAIN_CONSTRAINTS = f"""
select 'pg_constraint', k.oid::bigint, 0, 'constraint',
       format('%I.%I.%I', n.nspname, t.typname, k.conname), quote_ident(k.conname),
       'domain check', 'type', format('%I.%I', n.nspname, t.typname),
       format('ALTER DOMAIN %I.%I ADD CONSTRAINT %I %s', n.nspname, t.typname, k.conname,
              pg_get_constraintdef(k.oid)),
       null, 0, jsonb_build_object('definition', pg_get_constraintdef(k.oid))
  from pg_constraint k
  join pg_type t on t.oid = k.contypid
  join pg_namespace n on n.oid = t.typnamespace
 where k.contype = 'c' and {OWN}
"""

ROUTINES = f"""
select 'pg_proc', p.oid::bigint, 0, 'routine',
       format('%I.%I(%s)', n.nspname, p.proname, oidvectortypes(p.proargtypes)),
       quote_ident(p.proname), f.kind, 'schema', quote_ident(n.nspname),
       case when p.prokind <> 'a' then pg_get_functiondef(p.oid) end, null, 0,
       jsonb_build_object(
         'kind', f.kind,
         'arguments', pg_get_function_arguments(p.oid),
         'result', pg_get_function_result(p.oid),
         'language', l.lanname,
         'body', case when p.prokind <> 'a'
                      then coalesce(pg_get_function_sqlbody(p.oid), p.prosrc) end,
         'library', p.probin,
         'volatility', case p.provolatile when 'i' then 'immutable' when 's' then 'stable'
                                          else 'volatile' end,
         'strictness', case when p.proisstrict then 'strict' end,
         'security', case when p.prosecdef then 'definer' end,
         'leakproof', case when p.proleakproof then 'leakproof' end,
         'parallel', case p.proparallel when 's' then 'safe' when 'r' then 'restricted'
                                        else 'unsafe' end,
         'cost', p.procost::text,
         'rows', nullif(p.prorows, 0)::text,
         'settings', {options("p.proconfig")},
         'support', nullif(p.prosupport::text, '-'),
         'definition', case when p.prokind = 'a' then concat_ws(', ',
             'sfunc ' || g.aggtransfn::text, 'stype ' || format_type(g.aggtranstype, null),
             'sspace ' || nullif(g.aggtransspace, 0),
             'finalfunc ' || nullif(g.aggfinalfn::text, '-'),
             'combinefunc ' || nullif(g.aggcombinefn::text, '-'),
             'serialfunc ' || nullif(g.aggserialfn::text, '-'),
             'deserialfunc ' || nullif(g.aggdeserialfn::text, '-'),
             'msfunc ' || nullif(g.aggmtransfn::text, '-'),
             'minvfunc ' || nullif(g.aggminvtransfn::text, '-'),
             'initcond ' || quote_literal(g.agginitval), 'kind ' || g.aggkind::text,
             'finalfunc_modify ' || g.aggfinalmodify::text,
             'sortop ' || nullif(g.aggsortop, 0)::regoperator::text) end,
         'owner', pg_get_userbyid(p.proowner),
         'privileges', {privileges("p.proacl", "f", "p.proowner")})
  from pg_proc p
  join pg_namespace n on n.oid = p.pronamespace
  join pg_language l on l.oid = p.prolang
  left join pg_aggregate g on g.aggfnoid = p.oid
  cross join lateral (
      select case p.prokind when 'a' then 'aggregate' when 'p' then 'procedure'
                            when 'w' then 'window function' else 'function' end as kind) f
 where {OWN}
   and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass
                      and d.objid = p.oid and d.deptype = 'i')
"""

COLLATIONS = f"""
select 'pg_collation', c.oid::bigint, 0, 'collation', format('%I.%I', n.nspname, c.collname),
       quote_ident(c.collname), 'collation', 'schema', quote_ident(n.nspname), null, null, 0,
       jsonb_build_object(
         'provider', c.collprovider::text,
         'locale', coalesce(j ->> 'colllocale', j ->> 'colliculocale',
                            nullif(concat_ws(', ', j ->> 'collcollate', j ->> 'collctype'), '')),
         'rules', j ->> 'collicurules',
         'comparison', case when not c.collisdeterministic then 'nondeterministic' end,
         'owner', pg_get_userbyid(c.collowner))
  from pg_collation c join pg_namespace n on n.oid = c.collnamespace, to_jsonb(c) j
 where {OWN}
"""

OPERATORS = f"""
select 'pg_operator', o.oid::bigint, 0, 'operator',
       format('%I.%s(%s, %s)', n.nspname, o.oprname,
              coalesce(format_type(nullif(o.oprleft, 0), null), 'none'),
              format_type(o.oprright, null)),
       o.oprname::text, 'operator', 'schema', quote_ident(n.nspname), null, null, 0,
       jsonb_build_object(
         'function', o.oprcode::text,
         'commutator', nullif(o.oprcom, 0)::regoperator::text,
         'negator', nullif(o.oprnegate, 0)::regoperator::text,
         'estimators', nullif(concat_ws(', ', nullif(o.oprrest::text, '-'),
                                       nullif(o.oprjoin::text, '-')), ''),
         'joins', nullif(concat_ws(', ', case when o.oprcanmerge then 'merges' end,
                                   case when o.oprcanhash then 'hashes' end), ''),
         'owner', pg_get_userbyid(o.oprowner))
  from pg_operator o join pg_namespace n on n.oid = o.oprnamespace
 where {OWN}
"""

OPERATOR_CLASSES = f"""
select 'pg_opclass', o.oid::bigint, 0, 'operator class',
       format('%I.%I.%I', n.nspname, o.opcname, m.amname), quote_ident(o.opcname), 'operator class',
       'schema', quote_ident(n.nspname), null, null, 0,
       jsonb_build_object(
         'type', format_type(o.opcintype, null),
         'default', case when o.opcdefault then 'default' end,
         'family', f.opfname,
         'storage', format_type(nullif(o.opckeytype, 0), null),
         'members', concat_ws(', ',
             (select string_agg(format('%s %s', a.amopstrategy, a.amopopr::regoperator), ', '
                                order by a.amopstrategy, a.amopopr::regoperator::text)
                from pg_amop a where a.amopfamily = o.opcfamily),
             (select string_agg(format('function %s %s', a.amprocnum, a.amproc::regprocedure), ', '
                                order by a.amprocnum, a.amproc::regprocedure::text)
                from pg_amproc a where a.amprocfamily = o.opcfamily)))
  from pg_opclass o
  join pg_namespace n on n.oid = o.opcnamespace
  join pg_am m on m.oid = o.opcmethod
  join pg_opfamily f on f.oid = o.opcfamily
 where {OWN}
"""

CASTS = """
select 'pg_cast', c.oid::bigint, 0, 'cast', f.name, f.name, 'cast', null, null, null, null, 0,
       jsonb_build_object(
         'function', nullif(c.castfunc, 0)::regprocedure::text,
         'context', case c.castcontext when 'e' then 'explicit' when 'a' then 'assignment'
                                       else 'implicit' end,
         'method', case c.castmethod when 'f' then 'function' when 'i' then 'inout'
                                     else 'binary' end)
  from pg_cast c
  cross join lateral (select format('(%s AS %s)', format_type(c.castsource, null),
                                    format_type(c.casttarget, null)) as name) f
 where c.oid >= 16384
"""

TEXT_SEARCH = f"""
select 'pg_ts_config', c.oid::bigint, 0, 'text search configuration',
       format('%I.%I', n.nspname, c.cfgname), quote_ident(c.cfgname), 'text search configuration',
       'schema', quote_ident(n.nspname), null, null, 0,
       jsonb_build_object(
         'parser', (select p.prsname from pg_ts_parser p where p.oid = c.cfgparser),
         'mapping', (select string_agg(format('%s: %s', m.maptokentype, m.mapdict::regdictionary),
                                       ', ' order by m.maptokentype, m.mapseqno)
                       from pg_ts_config_map m where m.mapcfg = c.oid),
         'owner', pg_get_userbyid(c.cfgowner))
  from pg_ts_config c join pg_namespace n on n.oid = c.cfgnamespace where {OWN}
union all
select 'pg_ts_dict', d.oid::bigint, 0, 'text search dictionary',
       format('%I.%I', n.nspname, d.dictname), quote_ident(d.dictname), 'text search dictionary',
       'schema', quote_ident(n.nspname), null, null, 0,
       jsonb_build_object(
         'template', (select t.tmplname from pg_ts_template t where t.oid = d.dicttemplate),
         'options', d.dictinitoption, 'owner', pg_get_userbyid(d.dictowner))
  from pg_ts_dict d join pg_namespace n on n.oid = d.dictnamespace where {OWN}
"""

OF_TYPES = (
    TYPES,
    DOMAIN_CONSTRAINTS,
    ROUTINES,
    COLLATIONS,
    OPERATORS,
    OPERATOR_CLASSES,
    CASTS,
    TEXT_SEARCH,
)
"""Types before the constraints of domains."""
