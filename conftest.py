"""Load this project's own plugin late, so that pytest-cov measures it (CONTRIBUTING.md)."""

import signal

pytest_plugins = ["pgsandbox.plugin", "pytester"]

# A shell lets its background jobs ignore SIGINT, and so do all their children: those that the tests
# interrupt would never end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
