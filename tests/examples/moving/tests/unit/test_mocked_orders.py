"""The suite as it was: everything around the session is a mock."""

# --8<-- [start:mocked]
from unittest.mock import Mock

from shop.models import Order
from shop.orders import cancel, fee


def test_an_open_order_is_cancelled():
    """It passes, and says that three mocks were called."""
    order = Order(id=1, cents=2000, state="open")
    session = Mock()
    session.scalars.return_value.one_or_none.return_value = order

    assert cancel(session, 1) is True
    assert order.state == "canceled"
    session.commit.assert_called_once_with()


# --8<-- [end:mocked]


# --8<-- [start:pure]
def test_cancelling_costs_a_tenth():
    """It needs no session, so it stays a unit test."""
    assert fee(2000) == 200
    assert fee(500) == 100


# --8<-- [end:pure]
