"""The migrations of the shop."""

# --8<-- [start:all]
from pgsandbox.plugin.migration_tests import *  # noqa: F403

# --8<-- [end:all]
