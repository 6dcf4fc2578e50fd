import pytest
from sqlalchemy import create_engine, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from myapp.steam import create_engine as build_a_steam_engine


@pytest.fixture
def url(pg):
    return pg.url.set(drivername="postgresql+psycopg")


@pytest.fixture
def engine(url):
    return create_engine(url)


def make(url):
    return create_engine(url)


@pytest.mark.parametrize("dsn", ["postgresql://"])
def test_engines(pg, db_engine, request, dsn):
    base = make_url(pg.url)
    other = base.set(query={"options": "-cjit=off"})

    assert create_engine(other)
    assert create_engine(db_engine.url, isolation_level="AUTOCOMMIT")
    assert create_async_engine(f"{pg.url}?x=1")
    assert create_engine(request.getfixturevalue("pg").url_of("archive"))
    assert create_engine("postgresql+psycopg2://", creator=lambda: db_engine.raw_connection())
    assert create_engine(dsn)
    assert build_a_steam_engine("coal")
