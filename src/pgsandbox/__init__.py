"""Integration tests of a SQLAlchemy application against a real PostgreSQL.

The package is a pytest plugin (``pgsandbox.plugin``) and the parts it is wired from. Each layer
imports only the layers below it::

          cli            |            plugin
                       wiring
                       config
    servers | databases | schema | sandbox | factories
                        guard
                       errors

Importing this package imports none of them, so that the plugin costs nothing where it is not used.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
