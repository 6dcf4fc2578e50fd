# --8<-- [start:insist]
from pgsandbox.plugin import pytest_configure  # noqa: F401 - stands guard without the plugin, too

# --8<-- [end:insist]
