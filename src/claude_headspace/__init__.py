"""Claude Headspace: which project each coding agent works in, on what, and what it waits for.

The package in layers, imports going down only::

    app                          the Flask application, put together
    web | commands               dashboard, JSON API; ``flask --app claude_headspace ...``
    services                     transactions: each takes a Session, the caller commits
    models                       seven tables
    config | database            one URL, one ``db``
    domain | logs                the rules, without a database; no password in a log
    clock | errors

``flask --app claude_headspace`` finds :func:`create_app` here.
"""

from __future__ import annotations

from claude_headspace.app import create_app

__all__ = ["create_app"]
