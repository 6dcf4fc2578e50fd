import pytest
from sqlalchemy import delete

from myapp.models import User
from myapp.mail import outbox


@pytest.fixture
def nobody(db_session):
    db_session.execute(delete(User).where(User.name == "Ada"))
    db_session.flush()


@pytest.fixture
def mails(session):
    yield outbox
    outbox.delete("all")
    outbox.commit()


def test_a_user_is_deleted(db_session):
    db_session.execute(delete(User))
    db_session.commit()

    assert db_session.query(User).all() == []
