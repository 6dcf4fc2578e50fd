"""Orders: what an asynchronous application writes, and how a test looks at it."""

import asyncio

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError
from tickets.app import app, order
from tickets.database import engine, new_session
from tickets.guests import guests_of
from tickets.models import Order, Show

from tests.integration.client import BlockingClient, post
from tests.integration.factories import OrderFactory, ShowFactory


# --8<-- [start:first]
async def test_an_order_takes_a_seat(async_db_session):
    """The application commits on its own engine; the test sees it, and nobody else ever does."""
    show = ShowFactory(title="hamlet", seats=2)

    status = await post(app, "/shows/hamlet/orders/ada")

    assert status == 201
    assert await async_db_session.scalar(select(Order.guest)) == "ada"
    await async_db_session.refresh(show)
    assert show.seats == 1


# --8<-- [end:first]


# --8<-- [start:service]
async def test_the_list_at_the_door(async_db_session):
    """A function that takes a session is given the test's own."""
    show = ShowFactory()
    OrderFactory.create_batch(2, show=show)
    OrderFactory(guest="Grace")

    assert await guests_of(async_db_session, show.id) == ["Ada", "Ada"]


# --8<-- [end:service]


# --8<-- [start:refused]
async def test_a_show_that_is_sold_out(async_db_session):
    """The database refuses, the application answers, and the test goes on."""
    show = ShowFactory(seats=0)

    assert await post(app, f"/shows/{show.title}/orders/ada") == 409
    assert await async_db_session.scalar(select(func.count(Order.id))) == 0


# --8<-- [end:refused]


# --8<-- [start:client]
def test_a_synchronous_client(db_session):
    """The client has an event loop of its own, and the test is none the wiser."""
    ShowFactory(title="hamlet")

    with BlockingClient(app) as client:
        assert client.post("/shows/hamlet/orders/ada") == 201
    with BlockingClient(app) as client:
        assert client.post("/shows/hamlet/orders/grace") == 201

    assert db_session.scalar(select(Show.seats)) == 8


# --8<-- [end:client]


# --8<-- [start:gather]
async def test_many_guests_at_once(async_db_session):
    """Each task has a session of its own; their statements take turns."""
    ShowFactory(title="hamlet", seats=5)

    async def one(number):
        async with new_session() as session:
            return await order(session, "hamlet", f"guest {number}")

    statuses = await asyncio.gather(*(one(number) for number in range(5)))

    assert statuses == [201] * 5
    assert await async_db_session.scalar(select(Show.seats)) == 0


# --8<-- [end:gather]


# --8<-- [start:limit]
async def test_a_time_limit(async_db_session):
    """The statement is cancelled on the server, and its transaction is undone."""

    async def slow():
        async with new_session() as session:
            session.add(Show(title="hamlet", seats=1))
            await session.execute(text("select pg_sleep(60)"))
            await session.commit()

    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(slow(), 0.1)

    assert await async_db_session.scalar(select(func.count(Show.id))) == 0


# --8<-- [end:limit]


# --8<-- [start:lazy]
async def test_lazy_loading_is_refused_as_in_production(async_db_session):
    """What factories made is loaded; what is not must be awaited for, in tests as well."""
    show_id = OrderFactory().show_id
    async_db_session.expunge_all()
    show = await async_db_session.get(Show, show_id)

    with pytest.raises(SQLAlchemyError, match="greenlet_spawn has not been called"):
        len(show.orders)
    assert len(await async_db_session.run_sync(lambda _: show.orders)) == 1


# --8<-- [end:lazy]


# --8<-- [start:clone]
@pytest.mark.pgsandbox(isolation="clone")
async def test_the_second_guest_waits_for_the_first(async_db_session):
    """Only two real transactions can wait for each other."""
    async_db_session.add(Show(title="hamlet", seats=1))
    await async_db_session.commit()

    async with new_session() as first:
        await first.execute(select(Show).with_for_update())
        second = asyncio.create_task(post(app, "/shows/hamlet/orders/ada"))
        done, _ = await asyncio.wait([second], timeout=0.2)
        assert not done
        await first.rollback()

    assert await second == 201
    await engine.dispose()


# --8<-- [end:clone]


# --8<-- [start:counting]
async def test_an_order_takes_two_statements(pg):
    """BEGIN, COMMIT and savepoints do not count."""
    show = ShowFactory()

    with pg.counting() as queries:
        await post(app, f"/shows/{show.title}/orders/ada")

    assert len(queries) == 2, queries


# --8<-- [end:counting]
