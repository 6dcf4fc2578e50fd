from sqlalchemy import delete, text

from myapp.models import Base, User
from myapp.texts import truncate


def test_an_empty_table(db_session):
    db_session.execute(text("truncate users"))
    db_session.execute(delete(User))

    assert db_session.query(User).all() == []


def test_the_tables(db_engine):
    names = [table.name for table in Base.metadata.sorted_tables]
    for table in Base.metadata.sorted_tables:
        assert table.name in names
    assert truncate("TRUNCATE is a word", 3) == "TRU"
