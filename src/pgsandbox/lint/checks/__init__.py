"""The rules, in one module for each thing that they look at.

* ``production``: PGS101, imports that lead to the production database;
* ``databases``: whether a name stands for a session, an engine or a repository of the application;
* ``created_engines``: PGS102 and PGS103, databases of a test's own;
* ``cleaning``: PGS104 to PGS106, tables and isolation by hand;
* ``administration``: PGS107, databases created by hand;
* ``mocks``: PGS201, mocks in the database's place;
* ``waiting``: PGS301, sleeping;
* ``factories``: PGS302, sessions stored on factories;
* ``keys``: PGS303, primary keys that nobody knows;
* ``asserting``: PGS304, tests that expect nothing.

Each has a function ``check`` that takes a ``Context`` and yields ``Found``.
"""
