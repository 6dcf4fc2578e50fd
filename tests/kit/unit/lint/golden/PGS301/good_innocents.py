import asyncio
import time
from time import monotonic

from sqlalchemy import text

from myapp.beds import Bed


def sleep(seconds):
    return seconds


async def test_waiting(db_session, worker):
    deadline = monotonic() + 5
    while not worker.is_done and monotonic() < deadline:
        time.sleep(0.01)
    for _ in range(100):
        if worker.is_done:
            break
        time.sleep(0.01)
    time.sleep(0)
    await asyncio.sleep(0.1)
    Bed().sleep(8)
    db_session.execute(text("select pg_sleep(0.1)"))

    assert sleep(1) == 1
    assert "time.sleep(1)"
