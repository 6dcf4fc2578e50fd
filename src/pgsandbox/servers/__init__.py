"""Where PostgreSQL comes from: a server somebody gives by URL, or one that pgsandbox starts.

Both are a `Server`: an address, a way to connect to it, and the reason it was chosen. `given` takes
a URL and says exactly why when nothing usable answers there. `embedded` starts real PostgreSQL
programs, from the ``embedded`` extra or from this machine, and shares one running server among all
runs of a user; `running` joins that one only if it is up. `answers` asks quickly whether a URL is
worth choosing.
"""

from __future__ import annotations

from pgsandbox.servers.embedded import embedded, running
from pgsandbox.servers.given import answers, given
from pgsandbox.servers.server import Server

__all__ = ["Server", "answers", "embedded", "given", "running"]
