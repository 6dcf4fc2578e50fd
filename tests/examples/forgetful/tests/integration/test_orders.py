"""Tests that pass wherever nobody asks what was committed."""

import pytest
from shop.models import Mail, Order, db
from sqlalchemy import select


# --8<-- [start:uncommitted]
def test_an_order_is_stored(client):
    """The request's session is still open, and sees what it wrote."""
    response = client.post("/orders", json={"item": "tea"})

    assert response.status_code == 201
    assert db.session.scalar(select(Order.item)) == "tea"


# --8<-- [end:uncommitted]


# --8<-- [start:dirty-read]
def test_a_mail_counts_the_order(client, db_session):
    """The service reads by a connection of its own what the request has not committed."""
    client.post("/orders/confirmed", json={"item": "tea"})

    assert db_session.scalar(select(Mail.text)) == "1 orders"


# --8<-- [end:dirty-read]


# --8<-- [start:meant]
@pytest.mark.pgsandbox(uncommitted="ignore")
def test_an_order_gets_a_number(client):
    """Whether it stays is another test's question."""
    assert client.post("/orders", json={"item": "tea"}).json["id"] > 0


# --8<-- [end:meant]
