"""What the server writes in two ways reads as one."""

import pytest

from pgsandbox.schema.deparsed import cast_by_element, end_of, parts


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            "(x)::text = ANY ((ARRAY['a'::character varying, 'b,)'::character varying])::text[])",
            "(x)::text = ANY (ARRAY[('a'::character varying)::text, 'b,)'::text])",
        ),
        (
            "x <> ALL ((ARRAY[1, f(2, 3)])::bigint[])",
            "x <> ALL (ARRAY[(1)::bigint, (f(2, 3))::bigint])",
        ),
        ("(ARRAY[a, b])::numeric(10,2)[]", "ARRAY[(a)::numeric(10,2), (b)::numeric(10,2)]"),
    ],
)
def test_a_cast_of_an_array(first, second):
    """The parser pushes it into the elements when it reads the text again."""
    assert cast_by_element(first) == cast_by_element(second)


@pytest.mark.parametrize(
    "text",
    [
        "(x > 0)",
        "(ARRAY[1, 2])[1]",
        "'(ARRAY[1])::text[]'",
        "((data -> 'a'::text))::text",
        "('abc'::character varying(2))::text",
        "('1'::integer)::text",
    ],
)
def test_anything_else(text):
    """A cast that can change a value stays where it is."""
    assert cast_by_element(text) == text


def test_parentheses_and_commas():
    """Those in constants and quoted names are none."""
    assert end_of("(a, ')', \"(\")b", 0) == 12
    assert parts("a, f(b, c), ',', \"d,e\"") == ["a", "f(b, c)", "','", '"d,e"']
