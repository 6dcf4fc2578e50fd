"""Tests that did not ask for the database."""

import threading

from attempts import attempt
from shop import reports
from shop.database import SessionLocal, engine
from shop.models import Order

go = threading.Event()


def connect():
    """Open a connection by the engine of production."""
    engine.connect()


attempt("A test module connects when it is collected", connect)


def test_a_session():
    """The session maker of production, in a unit test."""

    def store():
        with SessionLocal() as session:
            session.add(Order(item="tea"))
            session.commit()

    attempt("A unit test stores an object by the session maker of production", store)


def test_begins_a_thread(request):
    """It waits until this test is over."""

    def wait_and_count():
        go.wait()
        attempt("A thread that outlives its test connects", reports.count_orders)

    request.config.thread = threading.Thread(target=wait_and_count)
    request.config.thread.start()


def test_while_the_thread_goes_on(request):
    """Another test is running by now."""
    go.set()
    request.config.thread.join()
