"""Models that use what SQLAlchemy has to describe a PostgreSQL schema."""

from __future__ import annotations

import enum
from typing import Any

from sqlalchemy import (
    ARRAY,
    DDL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    Enum,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    Sequence,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    create_mock_engine,
    event,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import (
    BYTEA,
    DOMAIN,
    INET,
    INT4RANGE,
    JSONB,
    TSTZRANGE,
    TSVECTOR,
    ExcludeConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
unnamed = MetaData(schema="Stock Room")


class Mood(enum.Enum):
    """An enumeration of Python's."""

    GOOD = "good"
    BAD = "bad"


short = DOMAIN("short", String(20), check="length(value) > 1", not_null=True, metadata=metadata)
number = Sequence("number_seq", start=7, increment=3, cache=5, cycle=True, metadata=metadata)

people = Table(
    "people",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True, server_default=text("gen_random_uuid()")),
    Column("name", String(80), nullable=False, index=True, comment='It\'s a name: 100 % "real"'),
    Column("alias", short),
    Column("mood", Enum(Mood, name="mood"), nullable=False, server_default="GOOD"),
    Column("size", Enum("s", "m", name="size", native_enum=False, create_constraint=True)),
    Column(
        "is_active", Boolean(create_constraint=True, name="active"), server_default=text("true")
    ),
    Column("balance", Numeric(12, 4), server_default="0"),
    Column("factor", Numeric, server_default=text("'1.50'::numeric")),
    Column("born", DateTime(timezone=True), server_default=func.now()),
    Column("lasts", Interval, server_default=text("interval '1 day 02:00'")),
    Column("address", INET),
    Column("raw", BYTEA, server_default=text(r"'\x00ff'")),
    Column("blob", LargeBinary),
    Column("tags", ARRAY(Text, dimensions=2), nullable=False, server_default="{}"),
    Column("settings", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("upper_name", Text, Computed("upper(name)", persisted=True)),
    Column("sorted", Text(collation="C")),
    Column("words", TSVECTOR),
    Column("ticket", Integer, number, server_default=number.next_value()),
    Column("boss_id", ForeignKey("people.id", ondelete="SET NULL", use_alter=True)),
    CheckConstraint("balance >= 0", name="balance"),
    CheckConstraint("name in ('a', 'b', 'c') or born > '2020-01-01'", name="names"),
    comment="Everybody",
)
Index("ix_people_lower", func.lower(people.c.name), people.c.born.desc().nulls_last())
Index(
    "ix_people_active",
    people.c.name,
    postgresql_where=people.c.is_active.is_(True),
    postgresql_include=["born"],
)
Index("ix_people_tags", people.c.tags, postgresql_using="gin")
Index(
    "ix_people_words", people.c.words, postgresql_using="gin", postgresql_with={"fastupdate": "off"}
)
Index(
    "ix_people_pattern",
    people.c.name,
    unique=True,
    postgresql_ops={"name": "varchar_pattern_ops"},
    postgresql_nulls_not_distinct=True,
)

bookings = Table(
    "bookings",
    metadata,
    Column("id", BigInteger, Identity(always=True, start=10, increment=10), primary_key=True),
    Column("person_id", Integer, nullable=False),
    Column("room", Integer, nullable=False),
    Column("during", TSTZRANGE, nullable=False),
    Column("seats", INT4RANGE),
    ForeignKeyConstraint(
        ["person_id"], ["people.id"], onupdate="CASCADE", deferrable=True, initially="DEFERRED"
    ),
    UniqueConstraint("room", "during", deferrable=True, name="room_once"),
    ExcludeConstraint(("during", "&&"), name="no_overlap", where=text("room > 0")),
)
# SQLAlchemy 2.0 has no postgresql_with for tables.
event.listen(bookings, "after_create", DDL("alter table bookings set (fillfactor = 70)"))

shelves = Table(
    "Shelves",
    unnamed,
    Column("Id", Integer, primary_key=True),
    Column("order", Integer, unique=True),
    Column("Größe", Integer, CheckConstraint('"Größe" > 0')),
    Column("parent", ForeignKey("Stock Room.Shelves.Id")),
)
pairs = Table(
    "pairs",
    unnamed,
    Column("left", ForeignKey(shelves.c.Id), primary_key=True, autoincrement=False),
    Column("right", ForeignKey(shelves.c.Id), primary_key=True),
    Column("made", Integer, Identity(always=False)),
)
events = Table(
    "events",
    unnamed,
    Column("at", DateTime, primary_key=True),
    Column("what", Text),
    postgresql_partition_by="RANGE (at)",
)
animals = Table(
    "animals", metadata, Column("id", Integer, nullable=False), Column("name", Text, unique=True)
)
cats = Table("cats", metadata, Column("claws", Integer), postgresql_inherits="animals")
cats.add_is_dependent_on(animals)

for statement in (
    """create table "Stock Room".events_1 partition of "Stock Room".events
        for values from ('2025-01-01') to ('2026-01-01')""",
    'create index on "Stock Room".events (what)',
    'create type "Stock Room".point3 as (x integer, y integer, label varchar(3))',
    'create view "Stock Room".small as select * from "Stock Room"."Shelves" where "Größe" < 5',
):
    event.listen(unnamed, "after_create", DDL(statement.replace("%", "%%")))


_ON_PEOPLE = (
    """
    create function touch() returns trigger language plpgsql as $$
        begin
            if new.born is null then
                new.born = now();
            end if;
            return new;
        end $$
    """,
    """create trigger people_touch before insert or update of name, born on people
        for each row when (new.is_active) execute function touch()""",
    "alter table people enable row level security",
    "create policy own on people using (name = current_user)",
)
for statement in _ON_PEOPLE:
    event.listen(people, "after_create", DDL(statement))


def statements() -> str:
    """Everything that ``create_all`` says, schemas first."""
    said = [f'create schema "{unnamed.schema}"']

    def write(construct: Any, *_: Any, **__: Any) -> None:
        said.append(str(construct.compile(dialect=dialect)).replace("%%", "%"))

    engine = create_mock_engine("postgresql+psycopg2://", write)
    dialect = engine.dialect
    for each in (metadata, unnamed):
        each.create_all(engine, checkfirst=False)
    return ";\n".join(said)
