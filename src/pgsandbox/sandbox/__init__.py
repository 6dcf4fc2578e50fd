"""Connections whose commits are undone.

In the test process:

* ``call_sites``: where in the caller's own code something happened;
* ``statement_places``: where in the project each statement came from;
* ``shapes``: what two texts of one statement have in common;
* ``repeated_queries``: the query per row;
* ``uncommitted``: what the application wrote and never committed;
* ``children``: whether this process has started others;
* ``cleanup``: what asynchronous code leaves behind when its event loop is gone;
* ``driver_connections``: whose a driver's connection is, and where it goes;
* ``rewriting``: where a connection goes instead, in the words of each driver;
* ``driver_hooks``: the drivers' own ``connect``, watched;
* ``superfluous``: the tests' own fixture that makes or drops what pgsandbox makes;
* ``refused_connections``: what is said to a connection that may not be made;
* ``explanation``: what the endpoint said, as the cause of a driver's error;
* ``endpoint_process``: the endpoint as a process that is told things and asked;
* ``forks``: a forked child keeps no connection of its parent's;
* ``routes``: the connections that were sent to an endpoint, and who has each;
* ``clones``: connections to a test's own database;
* ``test_database``: one test database, and the running test in it;
* ``late_threads``: threads that outlive their test and use the database in a later one;
* ``orm_objects``: sessions and objects that outlive a test, put back as they were;
* ``fixture_data``: what fixtures of wider scopes have made;
* ``running_test``: the running test: its databases, and who uses them;
* ``judging``: where a connection may go;
* ``interceptor``: every connection is seen, judged, and sent to where it belongs.

In a process of its own: ``endpoint``, which speaks PostgreSQL's protocol and holds the one
transaction of the running test. It needs the standard library only.

It imports SQLAlchemy, ``guard`` and ``errors``, and the drivers only where one is installed. What
is decided of a connection belongs into ``judging``, what a statement means into ``endpoint``.
"""
