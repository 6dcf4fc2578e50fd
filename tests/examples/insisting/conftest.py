"""Stands guard over every test below, whatever pytest was told of plugins."""

# --8<-- [start:insist]
from pgsandbox.plugin import pytest_configure  # noqa: F401

# --8<-- [end:insist]
