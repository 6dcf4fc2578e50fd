"""DROP DATABASE is what nobody here executes."""

from myapp.texts import create_database, parse

QUERY = "DROP DATABASE shop"


def test_a_statement_is_parsed():
    assert parse("CREATE DATABASE shop").verb == "CREATE"
    assert create_database("shop") is None
    assert parse(QUERY).object == "DATABASE"
