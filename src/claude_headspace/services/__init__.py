"""What the application does, one module per thing it does it to.

Every function takes a Session as its first argument and works in that session's transaction. It
flushes, so that what the database refuses is refused here, and never commits: the caller owns the
transaction and can join several calls in one. The exception is
:class:`~claude_headspace.services.event_writer.EventWriter` when it is used without a session.
"""
