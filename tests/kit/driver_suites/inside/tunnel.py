"""A TCP tunnel in place of pproxy, which psycopg's suite starts and which listens everywhere.

tunnel.py --reuse -l tunnel://:PORT -r tunnel://HOST:PORT
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from urllib.parse import urlsplit


async def serve(port: int, host: str, behind: int) -> None:
    """Pass on whatever comes to *port* of 127.0.0.1, until the process is ended."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server = await asyncio.open_connection(host, behind)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pass(reader, server[1]), _pass(server[0], writer))

    listener = await asyncio.start_server(connected, "127.0.0.1", port, reuse_address=True)
    await listener.serve_forever()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def main(words: list[str]) -> None:
    """Take pproxy's own arguments."""
    listen = urlsplit(words[words.index("-l") + 1])
    remote = urlsplit(words[words.index("-r") + 1])
    assert listen.port is not None
    assert remote.port is not None
    asyncio.run(serve(listen.port, remote.hostname or "127.0.0.1", remote.port))


if __name__ == "__main__":
    main(sys.argv[1:])
