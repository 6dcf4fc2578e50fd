"""One test database of a run, and how its endpoint finds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg2.extensions import connection as Connection
from sqlalchemy.engine import URL

from pgsandbox import databases, schema
from pgsandbox.sandbox.test_database import TestDatabase


@dataclass
class RunDatabase:
    """One test database of this run: who owns it, what fills it, how tests reach it."""

    database: TestDatabase
    owned: databases.OwnedDatabase
    builder: schema.Builder
    application: str
    """The name that its own name is made from."""
    template: databases.Template | None = None
    """What it is a copy of; None where the schema was built in it."""

    @property
    def description(self) -> str:
        """The database's name, with the names that were not free."""
        passed_over = self.owned.passed_over[:3]
        why = "; ".join(f"{each.name}: {each.reason}" for each in passed_over)
        return f"{self.owned.name} ({why})" if why else self.owned.name


def endpoint_parameters(
    connection: Connection, url: URL, owned: databases.OwnedDatabase
) -> dict[str, str]:
    """Return how the endpoint connects to *owned*, and proves it: as *connection* came from *url*.

    A password, or the address of a host, may come from a file or a variable that only libpq reads.
    """
    info = connection.info
    found = {
        "host": info.host or "localhost",
        "port": str(info.port),
        "user": info.user,
        "password": info.password or "",
        "database": owned.name,
        "oid": str(owned.mark.oid),
        "system": owned.mark.server,
    }
    if address := _address(info.dsn_parameters, info.host):
        found["hostaddr"] = address
    if not info.ssl_in_use:
        return found
    query = {name: str(value) for name, value in url.query.items()}
    tls = ("sslrootcert", "sslcert", "sslkey")
    found["sslmode"] = query.get("sslmode", "prefer")
    return found | {name: query[name] for name in tls if name in query}


def _address(told: Mapping[str, str], host: str) -> str:
    """Return the address at which libpq has found *host*, if it was told one."""
    addresses = told.get("hostaddr", "").split(",")
    hosts = told.get("host", "").split(",")
    is_one_of_several = len(addresses) == len(hosts) and host in hosts
    return addresses[hosts.index(host) if is_one_of_several else 0]
