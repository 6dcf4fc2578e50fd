"""sqlite:///:memory: is what this file does not use."""

import pytest

from myapp.urls import is_allowed, masked

BAD_URLS = ["sqlite://", "mysql://localhost/shop"]


@pytest.mark.parametrize("url", ["sqlite:///shop.db", *BAD_URLS])
def test_other_databases_are_refused(url):
    assert not is_allowed(url)
    assert masked("sqlite://") == "sqlite://"
    with pytest.raises(ValueError, match="sqlite:// is no PostgreSQL"):
        is_allowed(f"{url}!")


def test_it_runs_on_postgresql(pg):
    assert not str(pg.url).startswith("sqlite://")
    assert "sqlite" not in str(pg.url)
