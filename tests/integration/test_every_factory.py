"""The check that the kit brings ready-made, on every factory of this application."""

from pgsandbox.plugin.factory_tests import *  # noqa: F403  # pytest collects what it brings
