"""What test databases are called."""

from __future__ import annotations

import pytest

from pgsandbox.databases import naming


@pytest.mark.parametrize(
    ("application", "worker", "attempt", "name"),
    [
        ("claude_headspace", None, 1, "claude_headspace_test"),
        ("claude_headspace", "gw0", 1, "claude_headspace_gw0_test"),
        ("claude_headspace", None, 2, "claude_headspace_2_test"),
        ("claude_headspace", "gw0", 2, "claude_headspace_gw0_2_test"),
        ("shop_test", None, 1, "shop_test"),
        ("shop_test", "gw1", 3, "shop_gw1_3_test"),
        ("shop_test_test", None, 1, "shop_test_test"),
        ("_test", None, 1, "_test"),
        ("test", None, 1, "test_test"),
        ("Shop", None, 1, "Shop_test"),
        ("my shop", None, 1, "my shop_test"),
        ("a\"b%s'c\\d", None, 1, "a\"b%s'c\\d_test"),
        ("größe", None, 1, "größe_test"),
        ("", None, 1, "pgsandbox_test"),
        (None, None, 1, "pgsandbox_test"),
        (None, "gw0", 2, "pgsandbox_gw0_2_test"),
        ("sh\0op", None, 1, "shop_test"),
        ("sh\udcffop", None, 1, "sh?op_test"),
        ("\0", None, 1, "pgsandbox_test"),
        ("x" * 58, None, 1, "x" * 58 + "_test"),
    ],
)
def test_a_test_database_is_named_after_its_application(application, worker, attempt, name):
    """The application's name, the worker, the attempt, and one ending."""
    assert naming.test_name(application, worker, attempt) == name


@pytest.mark.parametrize(
    ("wanted", "worker", "attempt", "name"),
    [
        ("shop_test", None, 1, "shop_test"),
        ("shop_test", "gw0", 1, "shop_gw0_test"),
        ("shop_test", None, 2, "shop_2_test"),
        ("shop_test", "gw0", 2, "shop_gw0_2_test"),
        ("test_shop", None, 1, "test_shop"),
        ("test_shop", "gw0", 2, "test_shop_gw0_2"),
        ("Shop %s", None, 1, "Shop %s"),
        ("", None, 1, "pgsandbox_test"),
    ],
)
def test_a_wanted_name_is_taken_as_it_is(wanted, worker, attempt, name):
    """The first attempt has the name itself; parts stand before its ending, if it has one."""
    assert naming.exact_name(wanted, worker, attempt) == name


@pytest.mark.parametrize("application", ["x" * 59, "x" * 500, "ü" * 40, "a" + "ü" * 40, "🐘" * 20])
@pytest.mark.parametrize("worker", [None, "gw0", "w" * 100, "ü" * 52])
@pytest.mark.parametrize("attempt", [1, 1000])
def test_no_name_is_too_long_for_the_server(application, worker, attempt):
    """At most 63 bytes of valid UTF-8, and the ending stays."""
    name = naming.test_name(application, worker, attempt)

    assert len(name.encode()) <= 63
    assert name.endswith("_test")
    assert naming.fits(name)


def test_the_parts_of_a_shortened_name_stay_readable():
    """The stem gives way, so that worker and attempt can be told in the server's list."""
    name = naming.test_name("x" * 80, "gw0", 2)

    assert name.startswith("x" * 43 + "_")
    assert name.endswith("_gw0_2_test")
    assert len(name) == 63


def test_long_names_that_differ_at_the_end_stay_apart():
    """A digest stands for what was cut off."""
    assert naming.test_name("x" * 70 + "a") != naming.test_name("x" * 70 + "b")
    assert naming.test_name("x" * 70, "w" * 100) != naming.test_name("x" * 70, "v" * 100)
    assert naming.test_name("x" * 70, "w" * 100, 2) != naming.test_name("x" * 70, "w" * 100, 3)
    assert naming.exact_name("x" * 70 + "a") != naming.exact_name("x" * 70 + "b")


def test_a_long_wanted_name_is_shortened_without_an_ending_it_did_not_have():
    """The server would cut it silently; the digest keeps it apart from others."""
    name = naming.exact_name("x" * 70)

    assert len(name) == 63
    assert not name.endswith("_test")


@pytest.mark.parametrize("name", ["", "x" * 64, "ü" * 32, "a\0b", "a\udcff"])
def test_what_the_server_would_not_store_does_not_fit(name):
    """Empty, too long in bytes, or with what UTF-8 or PostgreSQL can't express."""
    assert not naming.fits(name)
