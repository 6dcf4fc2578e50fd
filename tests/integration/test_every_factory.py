"""What the kit checks of factories: one import switches it on."""

# --8<-- [start:all]
from pgsandbox.plugin.factory_tests import *  # noqa: F403 - the test is meant to be collected here

# --8<-- [end:all]
