"""Integration tests of a SQLAlchemy application against a real PostgreSQL.

The package is a pytest plugin (``pgsandbox.plugin``) and the parts that it is wired from. Each
layer imports only the layers below it, and those on one line do not know each other::

                         cli | plugin
               factory_checks | migration_checks
                          comparing
                            wiring
                            config
    servers | databases | schema | sandbox | factories | lint
                guard | reports | connections
                            errors
                           masking

``nox -s lint`` checks that. Each package says in its docstring what its modules are for, from the
bottom: a module imports, of its own package, only those that stand above it in that list.

Importing this package imports none of them, so that the plugin costs nothing where it is not used.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
