import psycopg2
import pytest

from myapp.radio import connect


@pytest.fixture
def app(app, pg):
    app.config.update(SQLALCHEMY_DATABASE_URI=pg.url, TESTING=True)
    app.config.from_mapping({"SQLALCHEMY_DATABASE_URI": pg.url})
    app.config.update(SQLALCHEMY_DATABASE_URI=None)
    app.config.update(PREFERRED_URL_SCHEME="https")
    return app


def test_others(pg, dsn):
    assert psycopg2.connect(pg.url)
    assert psycopg2.connect(dsn)
    assert psycopg2.connect(pg.url, options="-cjit=off")
    assert connect("shop")
