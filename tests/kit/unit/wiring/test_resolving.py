"""What settings refer to is found, or refused with the reason."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
from sqlalchemy import MetaData
from sqlalchemy.engine import make_url
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pgsandbox.errors import ConfigurationError
from pgsandbox.wiring.resolving import metadata_of, place_of, url_of


class Base(DeclarativeBase):
    """The base of a project's models."""


class Item(Base):
    """One of them."""

    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)


@pytest.fixture
def project(monkeypatch) -> ModuleType:
    """The module that settings refer to."""
    module = ModuleType("pgs_project")
    monkeypatch.setitem(sys.modules, "pgs_project", module)
    return module


@pytest.mark.parametrize("named", [Base.metadata, Base, Item, MetaData()])
def test_metadata_is_named_by_itself_a_base_or_a_model(project, named):
    """Whatever has it as an attribute will do."""
    project.named = named

    [found] = metadata_of("pgs_project:named", None)

    assert found is getattr(named, "metadata", named)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgresql//a:b@db/shop", "a colon is missing before //"),
        ("shop", "it has no scheme"),
        ("postgresql://db:$PGPORT/shop", "$PGPORT in it was not expanded"),
        ("postgresql://db:${PGPORT}/shop", "${PGPORT} in it was not expanded"),
        ("postgresql://a:b@[::1/shop", "the bracket around its IPv6 address is not closed"),
        ("postgresql://a:b%40db/shop", "the @ before its host is written as %40"),
        ("postgresql://h1:1,h2:2/shop", "it names several hosts"),
        ("postgresql://db:port/shop", "what stands in the place of its port is not a number"),
        ("postgresql://a/b@db/shop", "its last @ stands behind a /"),
        ("postgresql://a:b@c@db/shop", "its password has an @ in it"),
        ("postgresql://db:0/shop", "there is no port 0"),
        ("postgresql://db:65536/shop", "there is no port 65536"),
        ("postgresql://db/shop?port=0", "its port is not a number from 1 to 65535"),
        ("postgresql://db/shop?port=x", "its hosts and ports can't be read"),
        ("postgresql:///shop?host=a&host=b&host=c&port=1&port=2", "can't be read"),
        ("postgresql://db/shop?user=a&user=b", "one of its options is given more than once"),
        ("postgresql://d b/shop", "its host has a character that no host's name has"),
        ("postgresql://db/shop%00", "there is a NUL character in it"),
        ("postgresql://db/shop%40", "the name of its database has an @ in it"),
    ],
)
def test_a_url_that_leads_nowhere_is_refused_with_the_reason(url, why):
    """And with how the delimiters are written."""
    with pytest.raises(ConfigurationError) as refused:
        url_of(url, "TEST_DATABASE_URL")

    assert why in str(refused.value)
    assert "write @ as %40" in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg2://app:p%40ss@db:5432/shop",
        "postgresql://[::1]:5432/shop",
        "postgresql:///shop?host=%2Frun%2Fpostgresql&port=5433",
        "postgresql:///shop?host=h1:1&host=h2:2",
        "postgresql:///shop?host=h1,h2&port=1,2",
        "postgresql+asyncpg://db/shop?command_timeout=5",
        "postgresql://db",
        "postgresql://",
    ],
)
def test_other_urls_are_taken_as_they_are(url):
    """Several hosts too, where each has a port."""
    assert url_of(url, "url") == make_url(url)


def test_a_port_is_shown_as_it_is():
    """Zero is not the default."""
    assert place_of(make_url("postgresql://db:0/shop")) == "db:0"
    assert place_of(make_url("postgresql://db/shop")) == "db"
