"""Where statements begin and end in a text, by the server's lexical rules.

What the server itself makes of such texts is compared in the integration tests.
"""

from __future__ import annotations

import pytest

from pgsandbox.sandbox.endpoint.lexer import (
    split_arguments,
    statements,
    tokens,
    without_literals,
)


def _texts(text: str) -> list[str]:
    return [each for _, each in statements(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        (" \n\t", []),
        (";", []),
        (";; ;", []),
        ("-- a", []),
        ("/* a; */", []),
        ("/* a */ ; -- b;", []),
        ("a", ["a"]),
        (" a ", [" a "]),
        ("a;b", ["a", "b"]),
        ("a ; b ;", ["a ", "b "]),
        ("/* x; */ a; -- y;\n b", ["a", "b"]),
        ("a -- x;\n;b", ["a -- x;\n", "b"]),
        ("a -- x;\r;b", ["a -- x;\r", "b"]),
        ("a /* /* ; */ ; */ ;b", ["a /* /* ; */ ; */ ", "b"]),
        ("a /*/ ; */;b", ["a /*/ ; */", "b"]),
        ("a /**/;b", ["a /**/", "b"]),
        ("2*/* ; */3;b", ["2*/* ; */3", "b"]),
    ],
)
def test_semicolons_and_comments(text: str, found: list[str]) -> None:
    """Comments nest, and a statement begins after those before it."""
    assert _texts(text) == found


@pytest.mark.parametrize(
    "literal",
    [
        "';'",
        "'a'';'",
        "'\\'",
        "E'\\';'",
        "e'\\\\\\';'",
        "E'a'';'",
        "E'a'\n'\\';'",
        "E'a' -- b;\n  '\\';'",
        "U&'\\0041;'",
        "B';'",
        "N';'",
        '";"',
        '"a"";"',
        'U&";"',
        "$$;$$",
        "$a$;$$;$b$;$a$",
        "$_1$;$_1$",
        "$é$;$é$",
        "$\N{GRINNING FACE}$;$\N{GRINNING FACE}$",
        "$\udce9$;$\udce9$",
        "(a;b)",
        "((a;(b;)c;))",
    ],
)
def test_what_a_semicolon_ends_nothing_in(literal: str) -> None:
    """Strings of every kind, identifiers, dollar quotes, parentheses."""
    assert _texts(f"select {literal}; b") == [f"select {literal}", "b"]


@pytest.mark.parametrize(
    "text",
    [
        "a 'b;c",
        'a "b;c',
        "a $$b;c",
        "a $x$b;$$c",
        "a /* b;c",
        "a /* /* b */ ;c",
        "a E'\\';c",
        "a (b;c",
    ],
)
def test_what_is_not_closed_goes_to_the_end(text: str) -> None:
    """The server says what is wrong with it."""
    assert _texts(f"x;{text}") == ["x", text]


@pytest.mark.parametrize("text", ["a$$b;c", "$1;c", "$1$;c", "a $1$$;c", "é$$;c", "a);c"])
def test_what_only_looks_like_an_opening(text: str) -> None:
    """A dollar in a name, a parameter, a closing parenthesis too many."""
    assert len(_texts(text)) == (1 if text == "a $1$$;c" else 2)


@pytest.mark.parametrize(
    "routine",
    [
        "create function f() returns int begin atomic select 1; select 2; end",
        "CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC DELETE FROM a; END",
        "create function f() returns int begin atomic select case when a then 1 end; select 2; end",
        (
            "create function f(a int) returns int begin atomic"
            " select (case a when 1 then (case 1 when 1 then 2 end) end); end"
        ),
        "create function f() returns int begin atomic select 'end'; select \"end\"; end",
        "create function f() returns int begin atomic end",
    ],
)
def test_bodies_of_sql_routines(routine: str) -> None:
    """A BEGIN ATOMIC goes to its END, over every CASE in it."""
    assert _texts(f"{routine}; select 2") == [routine, "select 2"]


@pytest.mark.parametrize(
    "text", ["begin; end; a", "select 1 as begin; select 2; a", "begin; create table b (c int); a"]
)
def test_begin_elsewhere_is_no_body(text: str) -> None:
    """Only CREATE FUNCTION and CREATE PROCEDURE have one."""
    assert len(_texts(text)) == 3


def test_places_are_counted_in_characters() -> None:
    """As the server counts the position of an error."""
    text = "/* é */ select '\N{GRINNING FACE}';  b"

    assert [place for place, _ in statements(text)] == [8, 21]


def test_the_tokens_are_the_whole_text() -> None:
    """But for space, nothing is lost between them."""
    text = "SELECT a.b, $1, 1.5e3 /* c */ || E'\\'' -- d\n FROM \"e\" WHERE $$f$$ <> 'g'"
    found = list(tokens(text))

    assert "".join(text[t.start : t.end] for t in found) == (
        "SELECTa.b,$1,1.5e3/* c */||E'\\''-- dFROM\"e\"WHERE$$f$$<>'g'"
    )
    assert [t.kind for t in found if len(t.kind) > 1] == [
        "word",
        "word",
        "word",
        "number",
        "number",
        "comment",
        "string",
        "comment",
        "word",
        "quoted",
        "word",
        "string",
        "string",
    ]


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("select 1", "select 1"),
        ("select 'a' -- b", "select ''  "),
        ("/* a */select $$b$$", " select ''"),
        ('select "a\'b"', 'select "a\'b"'),
        ("select E'\\'' || 'x'", "select '' || ''"),
    ],
)
def test_a_text_without_its_literals(text: str, bare: str) -> None:
    """Words in strings and comments say nothing of what a statement does."""
    assert without_literals(text) == bare


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("(1)", ("1", "")),
        (" (1, f(2)) as x", ("1, f(2)", " as x")),
        ("(')', \")\") ;", ("')', \")\"", " ;")),
        ("()", ("", "")),
        ("1", None),
        ("x (1)", None),
        ("(1", None),
        ("", None),
    ],
)
def test_arguments(text: str, found: tuple[str, str] | None) -> None:
    """Up to the parenthesis that closes them."""
    assert split_arguments(text) == found
