"""The endpoint: PostgreSQL's protocol in front of the one transaction that holds a test.

Drivers of all kinds connect to it. To each it is a server of its own; behind it is one connection
to the real one. It runs in a process of its own and imports the standard library,
``pgsandbox.errors`` and itself, nothing else: so it starts fast, and no test can reach into it.

The modules stand here from top to bottom, and each imports only what stands below it. One that
needs what stands above is handed it, and names it for type checking only.

The process:

* `__main__` begins it, and ends it when the test process is gone.
* `endpoint` is its loop. It accepts clients, wakes them, and hears requests to cancel.
* `calls` does what the test process asks for, whose end of the talk is
  ``sandbox.endpoint_process``.
* `database` is the test database: the running test, what fixtures of wider scopes have made, and
  the end of a test. All clients share it. `routines` lets its functions and triggers notify them.

A client:

* `client` lets one in, hands its messages on, and lets it wait for another client.
* `backend` is the session that it has, in the running test's transaction, and holds its parts.
* `message_flow` hands its messages on to those that answer them, and ends each unit of messages.
* `execution` sends a statement to the server, and does what comes of it. `ordinary` is the short
  way of what only reads or writes rows in a calm moment.
* `simple` answers simple queries; `extended` answers Parse, Bind, Execute and their kind. `copying`
  takes the rows of a COPY.
* `portals` holds what it has bound to parameters. `prepared` holds what it has prepared, and knows
  what the server has of that, since others use the same names.
* `session_statements` answers what belongs to one session, and is not sent; `control` answers
  transaction control.
* `objects` keeps its cursors and temporary tables, `sequence_values` what sequences gave it,
  `enums` the values that it added, `notifications` what it listens to, `larger_locks` and
  `advisory` the locks that it holds.
* `telling` lets the server answer for one client what it knows of all as one: process ids, locks.
* `failures` says how an answer ends early: by an error, or by a wait.

A test:

* `transaction` holds one test. Every statement passes it, one at a time.
* `story` tells the test process of its statements. `dirty_reads` finds who has read what is not
  committed; `ledger` knows that, and what the server said to each statement.
* `savepoints` decides what commit and rollback of one client do to the others. It talks to nobody.
* `functions` knows what those of the database may do. `settings` gives each client parameters of
  its own, `modes` the modes of its transaction.
* `leaks` finds what a test left behind, `sequences` sets them back, `constraints` knows what a
  commit has to check, and whose SET CONSTRAINTS hold.
* `observation` remembers what tests do to the schema. `clock` moves the time of the database.
* `outer` begins and ends what encloses a test.
* `refusals` has the words of every refusal, and makes an ErrorResponse of it.
* `sessions` holds the types that these share.

The wire:

* `server` is the connection to the server. With `scram`, where it asks for that, `authentication`
  proves to it who the endpoint is.
* `connection` is a client's socket. `spool` keeps what waits, on disk where it is much.
* `statements` reads from its words what a statement does to its transaction and its session.
  `own_state` puts those that ask for their own session in other words. `lexer` cuts a text into
  statements.
* `polling` tells which sockets are ready, on Linux and elsewhere.
* `messages` packs and unpacks the protocol's messages.

Where a new line belongs:

* SQL that is to be treated in its own way: a kind in `statements`, and what is done with it in
  `session_statements`, for both protocols.
* What PostgreSQL keeps for each session: `objects`, or a module beside it, and what a new test must
  not inherit in ``Backend.test_finished``.
* Who undoes what: `savepoints`, with a test that needs no server.
* A refusal: `refusals`, and a row on the page of its error.
* A question of the test process: a method ``do_...`` of `calls`, and the call of it in
  ``sandbox.test_database``.
"""
