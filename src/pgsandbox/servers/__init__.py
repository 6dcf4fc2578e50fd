"""Where PostgreSQL comes from: a server somebody gives by URL, or one that pgsandbox starts.

Both are a `Server`: an address, a way to connect to it, and the reason it was chosen. `given` takes
a URL and says exactly why when nothing usable answers there. `embedded` starts real PostgreSQL
programs, from the ``embedded`` extra or from this machine, and shares one running server among all
runs of a user; `running` joins that one only if it is up. `answers` asks quickly whether a URL is
worth choosing.

* ``libpq``: URLs of any driver, turned into connections of psycopg2;
* ``server``: a server that tests may use, given or embedded;
* ``probing``: who answers at an address;
* ``poolers``: whether a connection is one session, or a pooler's share of several;
* ``given``: a server by URL.

And for the embedded one:

* ``account``: which user it runs as;
* ``file_locks``: locks that the kernel frees when their holder dies;
* ``standstill``: how long another process is waited for;
* ``closed_folders``: files in a folder of another account's;
* ``spreading``: folders that ext4 puts far from each other;
* ``trees``: folders copied whole;
* ``watchdog``: the parent of the postmaster, which stops it when nobody uses it;
* ``places``: where its files stand;
* ``binaries``: PostgreSQL's programs;
* ``data_directory``: what initdb makes, made once and copied;
* ``instance``: one running server, from the first process that wants it to the last;
* ``embedded``: all of that together.

It imports psycopg2, SQLAlchemy's URLs, ``connections`` and ``errors``. ``watchdog`` imports the
standard library only and nothing of pgsandbox: it runs for as long as the server does.
"""

from __future__ import annotations

from pgsandbox.servers.embedded import embedded, running
from pgsandbox.servers.given import answers, given
from pgsandbox.servers.server import Server

__all__ = ["Server", "answers", "embedded", "given", "running"]
