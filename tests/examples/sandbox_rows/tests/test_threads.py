"""Threads see the same data, one statement at a time."""

import gc
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Thread

from shop import plain, scoped
from shop.models import Item
from sqlalchemy import func, select
from sqlalchemy.exc import StatementError

from pgsandbox.errors import SandboxLost


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


class Survivor:
    """A thread that goes on with its transaction in another test."""

    def __init__(self):
        self.is_ready, self.may_go_on = Event(), Event()
        self.errors = []
        self.thread = Thread(target=self.work)

    def work(self):
        """Write in one test, and again in the next."""
        with plain.open_session() as session:
            session.add(Item(name="before"))
            session.flush()
            self.is_ready.set()
            self.may_go_on.wait(30)
            try:
                session.add(Item(name="after"))
                session.commit()
            except StatementError as error:
                self.errors.append(error)
        with plain.open_session() as session:
            session.scalar(select(func.count(Item.id)))


survivor = Survivor()


def test_1_a_thread_survives_its_test():
    """It is in the middle of a transaction."""
    survivor.thread.start()

    assert survivor.is_ready.wait(10)


def test_2_its_transaction_is_over(db_session):
    """What it goes on with is refused, so that no other test sees it; a new one is welcome."""
    survivor.may_go_on.set()
    survivor.thread.join(10)

    assert isinstance(survivor.errors[0].orig.__cause__, SandboxLost)
    assert db_session.scalar(select(func.count(Item.id))) == 0


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
