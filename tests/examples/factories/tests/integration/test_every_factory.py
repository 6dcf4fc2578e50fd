"""Every factory, compared with its model and tried."""

# --8<-- [start:all]
from pgsandbox.plugin.factory_tests import *  # noqa: F403  # pytest collects what it brings

# --8<-- [end:all]
