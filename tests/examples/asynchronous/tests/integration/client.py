"""Clients that speak to an ASGI application without a network."""

# --8<-- [start:post]
import asyncio
from threading import Thread


async def post(app, path):
    """Send one request, and return the status of the answer."""
    sent = []

    async def send(message):
        sent.append(message)

    await app({"type": "http", "method": "POST", "path": path}, None, send)
    return sent[0]["status"]


# --8<-- [end:post]


# --8<-- [start:blocking]
class BlockingClient:
    """A synchronous client, which runs the application on a loop of its own, in a thread."""

    def __init__(self, app):
        self._app = app

    def __enter__(self):
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def post(self, path):
        """Send one request, and return the status of the answer."""
        return asyncio.run_coroutine_threadsafe(post(self._app, path), self._loop).result()


# --8<-- [end:blocking]
