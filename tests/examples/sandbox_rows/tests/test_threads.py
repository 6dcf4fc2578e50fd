"""Threads see the same data, one statement at a time."""

import gc
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Thread

from shop import scoped
from shop.models import Item
from sqlalchemy import func, select


def test_threads_share_the_data_of_their_test(shop, db_session, pg):
    """Eight threads with sessions of their own write and read what the others committed."""
    barrier = Barrier(8)

    def add(name):
        barrier.wait(10)
        with shop.open_session() as session:
            session.add(Item(name=name))
            session.commit()
            return session.scalar(select(func.count(Item.id)))

    db_session.add(Item(name="the test's"))
    db_session.commit()
    with ThreadPoolExecutor(8) as threads:
        seen = list(threads.map(add, "abcdefgh"))

    assert min(seen) >= 2
    assert max(seen) == 9
    assert db_session.scalar(select(func.count(Item.id))) == 9
    assert pg.outside("select count(*) from items") == 0


def test_a_thread_that_ends_in_its_transaction_leaves_nothing(db_session):
    """The scoped session of a thread goes with it, and what it did not commit is undone."""

    def work():
        scoped.session.add(Item(name="lamp"))
        scoped.session.flush()

    thread = Thread(target=work)
    thread.start()
    thread.join(10)
    gc.collect()

    assert db_session.scalar(select(func.count(Item.id))) == 0
