"""Random programs of several clients by mixed drivers, each made from a seed.

Each client writes rows of its own only, and reads those of others only while nobody is in a
transaction: what it would have to wait for, or could see too early, is no part of a program. What
it does is decided beforehand by a model of its transaction, so both sides play the same steps.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from stage import Stage

KINDS = ("psycopg2", "psycopg", "async psycopg", "asyncpg")
_WEIGHTS = {
    "begin": 8,
    "commit": 6,
    "rollback": 4,
    "savepoint": 4,
    "release": 2,
    "rollback to": 4,
    "insert": 10,
    "update": 5,
    "delete": 2,
    "upsert": 2,
    "call": 3,
    "break": 2,
    "read": 8,
    "read all": 4,
    "lock": 1,
    "fail": 4,
    "duplicate": 3,
    "create": 2,
    "drop": 1,
    "use": 3,
    "temporary": 2,
    "set": 3,
    "set local": 3,
    "show": 4,
    "prepare": 2,
    "execute": 4,
    "deallocate": 1,
    "declare": 3,
    "fetch": 5,
    "close": 1,
    "text": 3,
    "failing text": 2,
    "parameters": 3,
    "notice": 1,
    "reconnect": 1,
}


@dataclass(frozen=True)
class Step:
    """What one client sends."""

    client: int
    sql: str
    has_parameters: bool = False
    """Whether it is sent with a parameter, so by the extended protocol."""

    def __str__(self) -> str:
        return f"{self.client}: {self.sql}"


@dataclass
class Client:
    """The state of one client's transaction, as production has it."""

    place: int
    is_open: bool = False
    has_failed: bool = False
    savepoints: list[str] = field(default_factory=list)

    def ends(self) -> None:
        """Be outside of a transaction."""
        self.is_open = self.has_failed = False
        self.savepoints.clear()


@dataclass
class Program:
    """Clients and their steps."""

    seed: int
    kinds: list[str]
    """The drivers of its clients."""
    steps: list[Step]

    def __str__(self) -> str:
        steps = "\n".join(f"  {step}" for step in self.steps)
        return f"program {self.seed} of {', '.join(self.kinds)}\n{steps}"


def program(seed: int) -> Program:
    """Return the program of *seed*."""
    chance = random.Random(seed)  # noqa: S311  # repeatable, not secret
    count = chance.choice([2, 2, 3, 4])
    kinds = [chance.choice(KINDS) for _ in range(count)]
    clients = [Client(place) for place in range(count)]
    steps: list[Step] = []
    for number in range(chance.randint(8, 40)):
        client = chance.choice(clients)
        verb = chance.choices([*_WEIGHTS], [*_WEIGHTS.values()])[0]
        is_quiet = not any(each.is_open for each in clients)
        step = _step(chance, client, verb, number, is_quiet=is_quiet)
        if step:
            steps.append(step)
    ends = ("COMMIT", "COMMIT", "ROLLBACK")
    steps += [
        Step(client.place, chance.choice(ends))
        for client in chance.sample(clients, count)
        if client.is_open
    ]
    steps += [Step(place, "SELECT number, client FROM parts ORDER BY 1") for place in range(count)]
    return Program(seed, kinds, steps)


def _step(
    chance: random.Random, client: Client, verb: str, number: int, *, is_quiet: bool
) -> Step | None:
    place = client.place
    key = place * 1000 + number
    mine = f"client = {place}"
    if verb in _CONTROL:
        return _control(chance, client, verb)
    if verb in ("read all", "reconnect"):
        if not is_quiet:
            return None
        if verb == "reconnect":
            return Step(place, "(reconnect)")
        return Step(place, "SELECT number, client FROM parts ORDER BY 1")
    # DDL waits for nobody where each has tables of its own.
    table, name = f"made_{place}", chance.choice("pq")
    end = chance.choice(["DROP", "PRESERVE ROWS"])
    insert = f"INSERT INTO parts (number, client) VALUES ({key}, {place})"
    fails = verb in ("fail", "duplicate", "failing text")
    sql = {
        "insert": insert,
        "update": f"UPDATE parts SET number = number + 100000 WHERE {mine} AND number < 100000",
        "delete": f"DELETE FROM parts WHERE {mine} AND number = {key - chance.randint(1, 9)}",
        "upsert": f"{insert} ON CONFLICT (number) DO UPDATE SET client = {place} RETURNING number",
        "call": f"SELECT add_part({key}, {place})",
        "break": f"INSERT INTO parts (number, client, parent) VALUES ({key}, {place}, {key})",
        "read": f"SELECT number FROM parts WHERE {mine} ORDER BY 1",
        "lock": f"SELECT number FROM parts WHERE {mine} ORDER BY 1 FOR UPDATE",
        "fail": chance.choice(["SELECT 1/0", "SELECT * FROM nowhere", "SELEC 1"]),
        "duplicate": f"{insert}, ({key}, {place})",
        "create": f"CREATE TABLE {table} AS SELECT {number} AS a",
        "drop": f"DROP TABLE {table}",
        "use": f"SELECT * FROM {table}",
        "temporary": f"CREATE TEMP TABLE scratch ON COMMIT {end} AS SELECT {key} AS a",
        "set": f"SET my.word = '{number}'",
        "set local": f"SET LOCAL my.word = 'local {number}'",
        "show": "SELECT current_setting('my.word', true)",
        "prepare": f"PREPARE {name} AS SELECT {key}",
        "execute": f"EXECUTE {name}",
        "deallocate": f"DEALLOCATE {name}",
        "declare": f"DECLARE {name} CURSOR FOR SELECT generate_series({number}, {number + 5})",
        "fetch": f"FETCH 2 FROM {name}",
        "close": f"CLOSE {name}",
        "text": f"{insert}; SELECT {number}; SAVEPOINT t; RELEASE t"
        if client.is_open
        else f"{insert}; SELECT {number}",
        "failing text": f"{insert}; SELECT 1/0; SELECT 2",
        "parameters": "SELECT $1::int",
        "notice": f"DO $$ BEGIN RAISE NOTICE 'of {place}'; END $$",
    }[verb]
    may_fail = verb in _MAY_FAIL
    if client.is_open and (fails or may_fail):
        # Whether it does is the server's business: go on as if it had, by a rollback only.
        client.has_failed = True
    return Step(place, sql, verb == "parameters")


_CONTROL = {"begin", "commit", "rollback", "savepoint", "release", "rollback to"}
_MAY_FAIL = {
    "create", "drop", "use", "temporary", "prepare", "execute", "deallocate", "declare", "fetch",
    "close", "upsert", "update",
}  # fmt: skip


def _control(chance: random.Random, client: Client, verb: str) -> Step | None:
    name = chance.choice("st")
    # Most programs know whether they are in a transaction; the others get a warning.
    is_careless = chance.random() < 0.1
    match verb:
        case "begin" if not client.is_open or is_careless:
            client.is_open = True
            sql = "BEGIN"
        case "commit" | "rollback" if client.is_open or is_careless:
            client.ends()
            sql = verb.upper()
        case "savepoint" if client.is_open and not client.has_failed:
            client.savepoints.append(name)
            sql = f"SAVEPOINT {name}"
        case "release" | "rollback to" if client.is_open and name in client.savepoints:
            client.has_failed &= verb != "rollback to"
            sql = f"{verb.upper()} {name}"
        case _:
            return None
    return Step(client.place, sql)


_SETUP = (
    "CREATE FUNCTION add_part(integer, integer) RETURNS integer LANGUAGE sql AS"
    " 'INSERT INTO parts (number, client) VALUES ($1, $2) RETURNING number'"
)


async def play(stage: Stage, played: Program) -> None:
    """Play the program's steps one after the other, each on its client's connection."""
    first = stage.open("psycopg2", autocommit=True)
    stage.run(first, _SETUP)
    connections = [await _open(stage, kind) for kind in played.kinds]
    for step in played.steps:
        kind, connection = played.kinds[step.client], connections[step.client]
        if step.sql == "(reconnect)":
            closing = connection.close()
            if closing is not None:
                await closing
            connections[step.client] = await _open(stage, kind)
            continue
        parameters: tuple[int, ...] = (7,) if step.has_parameters else ()
        sql = step.sql if kind == "asyncpg" else step.sql.replace("$1", "%s")
        if kind == "asyncpg":
            # A text of several statements takes the simple protocol.
            if ";" in sql and "$$" not in sql:
                await stage.run_async(connection, sql)
            else:
                await stage.fetch(connection, sql, *parameters)
        elif kind == "async psycopg":
            await stage.run_async(connection, sql, *parameters)
        else:
            stage.run(connection, sql, parameters or None)


async def _open(stage: Stage, kind: str) -> object:
    if kind == "asyncpg":
        return await stage.open_async("asyncpg")
    if kind == "async psycopg":
        return await stage.open_async("psycopg", autocommit=True)
    return stage.open(kind, autocommit=True)
