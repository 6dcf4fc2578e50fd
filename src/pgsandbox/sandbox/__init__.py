"""Connections whose commits are undone.

In the test process: `interceptor` judges every connection and sends it to where it belongs,
`driver_hooks` brings it those that drivers make by themselves, `rewriting` changes where they go,
`test_database` stands for one test database and talks to its `endpoint_process`, `clones` for a
test's own, `forks` lets a child keep no connection of its parent's, `fixture_data` and
`orm_objects` are for what fixtures of wider scopes have made.

In a process of its own: `endpoint`, which speaks PostgreSQL's protocol and holds the one
transaction of the running test. It needs the standard library only.
"""
