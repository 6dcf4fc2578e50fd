"""What drivers are told instead of what they were asked for."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.dialects import postgresql

from pgsandbox.sandbox.rewriting import CLIENT, Destination, asyncpg, libpq, of_dialect

TO = Destination("/run/here", 5432, "tester", "shop_test", token="t0")
PLACE = {"host": "/run/here", "port": 5432, "user": "tester"}


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is set outside."""
    for name in ("PGOPTIONS", "PGHOSTADDR", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"host": "db", "port": 1, "user": "app", "password": "secret", "dbname": "shop"},
        {"dsn": "postgresql://app@db/shop"},
        {"hostaddr": "10.0.0.1", "service": "shop", "passfile": "/x", "database": "shop"},
        {"sslmode": "verify-full", "sslrootcert": "/x", "gssencmode": "require"},
        {"target_session_attrs": "read-write", "load_balance_hosts": "random"},
    ],
)
def test_the_place_is_another(asked: dict[str, Any]) -> None:
    """Whatever was said of it, with its password and its proofs, is gone."""
    given = libpq(asked, TO)
    kept = {name: asked[name] for name in asked if name == "target_session_attrs"}

    assert given == {**PLACE, "dbname": "shop_test", "options": f"-c {CLIENT}=t0", **kept}


def test_what_was_asked_for_beside_the_place_stays() -> None:
    """Options come before the token, which an application does not know."""
    asked = {
        "options": "-c work_mem=5MB",
        "connect_timeout": 3,
        "application_name": "a",
        "cursor_factory": dict,
    }

    assert libpq(asked, TO) == {
        **PLACE,
        **asked,
        "dbname": "shop_test",
        "options": f"-c work_mem=5MB -c {CLIENT}=t0",
    }


def test_the_environment_has_its_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """PGOPTIONS would be ignored where there are options; PGHOSTADDR would win."""
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=6MB")
    monkeypatch.setenv("PGHOSTADDR", "10.0.0.1")
    given = libpq({}, TO)

    assert given["options"] == f"-c work_mem=6MB -c {CLIENT}=t0"
    assert given["hostaddr"] == ""
    assert libpq({}, Destination("db", 1, "u", "clone"))["hostaddr"] == ""
    assert "hostaddr" not in libpq({}, Destination(None, None, None, "clone"))
    assert libpq({"options": "-c a.b=c"}, TO)["options"] == f"-c a.b=c -c {CLIENT}=t0"


def test_a_place_that_is_none_of_the_endpoints_has_its_password() -> None:
    """And no token, and what else its server wants."""
    to = Destination("db", 1, "u", "clone", password="p", more=(("sslmode", "require"),))

    assert libpq({"sslmode": "disable"}, to) == {
        "host": "db",
        "port": 1,
        "user": "u",
        "dbname": "clone",
        "password": "p",
        "sslmode": "require",
    }
    assert asyncpg({"ssl": False}, to) == {
        "host": "db",
        "port": 1,
        "user": "u",
        "database": "clone",
        "password": "p",
        "ssl": "require",
    }


def test_asyncpg_has_words_of_its_own() -> None:
    """The token is one of the settings of its server, beside those of the application."""
    settings = {"application_name": "a"}
    given = asyncpg({"dsn": "x", "ssl": True, "server_settings": settings, "timeout": 3}, TO)

    assert given == {
        **PLACE,
        "database": "shop_test",
        "timeout": 3,
        "server_settings": {"application_name": "a", CLIENT: "t0"},
    }
    assert settings == {"application_name": "a"}


def test_a_dialect_may_have_made_a_connection_string() -> None:
    """What it says beside the place stays, too."""
    found = of_dialect(
        postgresql.psycopg2.dialect(),
        ("postgresql://app:secret@db/shop?connect_timeout=3&sslmode=require",),
        {"application_name": "a"},
        TO,
    )

    assert found == {
        **PLACE,
        "dbname": "shop_test",
        "connect_timeout": "3",
        "application_name": "a",
        "options": f"-c {CLIENT}=t0",
    }
    assert (
        of_dialect(postgresql.asyncpg.dialect(), (), {"host": "db"}, TO)["database"] == "shop_test"
    )
