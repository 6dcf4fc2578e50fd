import os

from myapp.urls import masked


def test_a_default_is_masked(monkeypatch):
    shown = masked(os.environ.get("SHOWN", "sqlite://"))

    assert shown == os.getenv("SHOWN", "sqlite://")
