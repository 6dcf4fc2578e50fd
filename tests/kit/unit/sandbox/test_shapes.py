"""What two texts have in common, and which tables they name."""

from __future__ import annotations

import pytest

from pgsandbox.sandbox.shapes import names_table, shape_of, tables_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT a FROM t WHERE id = 1", "SELECT a FROM t WHERE id = 20"),
        ("SELECT a FROM t WHERE n = 'x'", "SELECT a FROM t WHERE n = 'it''s'"),
        ("SELECT a FROM t WHERE id IN (1, 2)", "SELECT a FROM t WHERE id IN (1, 2, 3)"),
        (
            "SELECT a FROM t WHERE id IN (%(id_1_1)s)",
            "SELECT a FROM t WHERE id IN (%(id_1_1)s, %(id_1_2)s)",
        ),
        ("SELECT a FROM t WHERE id = $1", "SELECT a\nFROM t  WHERE id = %(id)s"),
        ("INSERT INTO t (a) VALUES (1), (2)", "INSERT INTO t (a) VALUES (1)"),
    ],
)
def test_values_make_no_difference(one: str, other: str) -> None:
    """Nor does how many there are in a list, nor how a driver marks them."""
    assert shape_of(one) == shape_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT a FROM t1", "SELECT a FROM t2"),
        ("SELECT a FROM t WHERE a = 1", "SELECT a FROM t WHERE b = 1"),
        ('SELECT "1" FROM t', 'SELECT "2" FROM t'),
    ],
)
def test_names_make_one(one: str, other: str) -> None:
    """A number that is a part of a name is no value."""
    assert shape_of(one) != shape_of(other)


@pytest.mark.parametrize(
    ("text", "tables"),
    [
        ("SELECT * FROM orders o, customers AS c WHERE o.id = 1", {"orders", "customers"}),
        ('SELECT 1 FROM app."Bar" LEFT JOIN baz USING (id)', {"app.Bar", "baz"}),
        ("WITH x AS (SELECT 1 FROM foo), y(a) AS (SELECT 2) SELECT * FROM x JOIN y ON t", {"foo"}),
        ("INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2", {"t"}),
        ("UPDATE ONLY t SET a = extract(year FROM b) FROM u", {"t", "u"}),
        ("SELECT 1 FROM t WHERE a IS DISTINCT FROM b", {"t"}),
        ("SELECT * FROM generate_series(1, 3) g, z FOR UPDATE OF z", {"z"}),
        (
            "SELECT 1 FROM (SELECT * FROM i) AS q JOIN LATERAL (SELECT 1 FROM l) k ON true",
            {"i", "l"},
        ),
        ("DELETE FROM t USING v, w", {"t", "v", "w"}),
        ("TRUNCATE a, b CASCADE", {"a", "b"}),
        ("COPY c (x) FROM STDIN", {"c"}),
        ("SELECT 'FROM strings' -- FROM comments", set()),
    ],
)
def test_tables_are_read_from_words(text: str, tables: set[str]) -> None:
    """Where a table stands in the grammar, and nowhere else."""
    assert tables_of(text) == tables


def test_a_table_is_named_with_or_without_its_schema() -> None:
    """Whoever asks for ``orders`` means that of any schema."""
    assert names_table("SELECT 1 FROM app.orders", "orders")
    assert names_table("SELECT 1 FROM app.orders", "app.orders")
    assert not names_table("SELECT 1 FROM app.orders", "old.orders")
