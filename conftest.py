"""Load this project's own plugin late, so that pytest-cov measures it (CONTRIBUTING.md)."""

pytest_plugins = ["pgsandbox.plugin", "pytester"]
