-- The schema of everything.py as somebody's migrations make it: in another order and other words,
-- with detours that leave gaps where columns were dropped, and names that were changed later.

create function touch() returns trigger
    as 'begin
            if new.born is null then
                new.born = now();
            end if;
            return new;
        end'
    language 'plpgsql' volatile called on null input;

create schema "Stock Room";
create domain short as character varying(20) constraint short_check check (length(value) > (1)) not null;
create type mood as enum ('FINE', 'BAD');
alter type mood rename value 'FINE' to 'GOOD';
create sequence number_seq start with 7 cache 5;
alter sequence number_seq increment by 3 cycle;

create table "Stock Room"."Shelves" (
    forgotten text,
    "Größe" int4,
    "order" int,
    "Id" serial primary key,
    parent integer references "Stock Room"."Shelves" on delete no action,
    constraint "Shelves_order_key" unique ("order")
);
alter table "Stock Room"."Shelves" drop column forgotten;
alter table "Stock Room"."Shelves" add constraint "Shelves_Größe_check" check (("Größe") > 0);
create view "Stock Room".small as
    select s."Id", s."order", s."Größe", s.parent from "Stock Room"."Shelves" s where s."Größe" < 5;
drop view "Stock Room".small;
alter table "Stock Room"."Shelves" add column again int;
alter table "Stock Room"."Shelves" drop column again;

create table folk (
    id integer not null,
    name varchar(40),
    boss_id int4,
    words tsvector,
    sorted text collate pg_catalog."C",
    ticket integer default nextval('public.number_seq'::text::regclass),
    settings jsonb not null default '{}',
    tags text[] default array[]::text[] not null,
    blob bytea,
    raw bytea default '\000\377'::bytea,
    address inet null,
    lasts interval default '26:00:00',
    born timestamptz default current_timestamp,
    factor decimal default 1.50,
    balance decimal(12, 4) default '0'::numeric,
    is_active bool default 't',
    size character varying(1),
    mood mood not null default 'BAD',
    alias short,
    uuid uuid not null default gen_random_uuid(),
    constraint size check ((size)::text in ('s', 'm'))
);
alter table folk rename to people;
alter table people rename constraint size to ck_people_size;
alter table people alter column name type character varying(80), alter column name set not null;
alter table people alter column mood set default 'GOOD'::mood;
alter table people alter column ticket set default nextval('number_seq');
alter table people alter column tags set default '{}';
alter table people alter column lasts set default '1 day 02:00'::interval;
alter table people alter column factor set default '1.50'::numeric;
alter table people alter column born set default now();
alter table people add column upper_name text generated always as (upper((name)::text)) stored;
create sequence people_id_seq as integer owned by people.id;
alter table people alter column id set default nextval('people_id_seq');
comment on column people.name is 'It''s a name: 100 % "real"';
comment on table people is 'Nobody';
comment on table people is 'Everybody';
create index ix_people_tags on people using gin (tags array_ops);
create index ix_people_words on people using gin (words) with (fastupdate = false);
alter index ix_people_words set (fastupdate = off);
create unique index ix_people_pattern on people using btree (name varchar_pattern_ops asc) nulls not distinct;
create index ix_people_active on people (name) include (born) where (is_active is true);
create index ix_people_lower on public.people (lower(name::text), born desc nulls last);
create index on people (name);
alter index people_name_idx rename to ix_people_name;
alter table people add constraint ck_people_names
    check (name = any (array['a', 'b', 'c']) or born > '2020-01-01 00:00:00+00'::timestamptz);
alter table people add constraint ck_people_balance check (balance >= 0) not valid;
alter table people validate constraint ck_people_balance;
create unique index unique_uuid on people (uuid);
alter table people add constraint uq_people_uuid unique using index unique_uuid;
alter table people add constraint pk_people primary key (id);
alter table people add constraint fk_people_boss_id_people
    foreign key (boss_id) references people (id) match simple on delete set null;
create trigger people_touch before update of born, name or insert on people
    for each row when (new.is_active) execute procedure touch();
create policy own on people as permissive for all to public using (current_user = name);
drop policy own on people;
create policy own on people for all using (((name)::text) = current_user);
alter table people enable row level security;

create table animals (name text, id integer);
alter table animals alter id set not null;
create table cats (id integer not null, name text, claws smallint);
alter table cats alter column claws type integer;
alter table cats inherit animals;
alter table animals add constraint uq_animals_name unique (name);

create table bookings (
    id bigint not null,
    seats int4range,
    during tstzrange not null,
    room integer not null,
    person_id integer not null,
    constraint no_overlap exclude using gist (during with operator(pg_catalog.&&)) where ((room > 0))
) with (fillfactor = 90);
alter table bookings set (fillfactor = 70);
alter table bookings alter column id add generated by default as identity (start 10 increment 10);
alter table bookings alter column id set generated always;
alter table bookings add constraint room_once unique (room, during) deferrable initially immediate;
alter table bookings add constraint pk_bookings primary key (id);
alter table bookings add constraint fk_bookings_person_id_people foreign key (person_id)
    references people on update cascade on delete no action initially deferred;

create type "Stock Room".point3 as (x int);
alter type "Stock Room".point3 add attribute y int4, add attribute gone text;
alter type "Stock Room".point3 drop attribute gone;
alter type "Stock Room".point3 add attribute label character varying(3);
create table "Stock Room".events (what text, at timestamp) partition by range (at);
create index events_what_idx on "Stock Room".events (what);
create table "Stock Room".events_1 (at timestamp without time zone, what text);
alter table "Stock Room".events attach partition "Stock Room".events_1
    for values from (timestamp '2025-01-01 00:00') to ('2026-01-01');
alter table "Stock Room".events add primary key (at);
create table "Stock Room".pairs (
    made int generated by default as identity,
    "right" int not null,
    "left" int not null references "Stock Room"."Shelves",
    constraint pairs_pkey primary key ("left", "right")
);
alter table "Stock Room".pairs add foreign key ("right") references "Stock Room"."Shelves" ("Id");
create view "Stock Room".small as
    select "Id", "order", "Größe", parent from "Stock Room"."Shelves" where not true;
create or replace view "Stock Room".small as
    select "Id", "order", "Größe", parent from "Stock Room"."Shelves" where "Größe" < 5;
