from sqlalchemy import Column, Integer, MetaData, Table
from sqlalchemy.orm import DeclarativeBase

from myapp.directories import create_all
from myapp.models import User
from tests.factories import UserFactory

own = MetaData()
numbers = Table("numbers", own, Column("value", Integer))


class Own(DeclarativeBase):
    pass


class TestItsOwn:
    def setup_method(self):
        self.metadata = MetaData()

    def test_others(self, db_engine, db_connection, inventory):
        self.metadata.create_all(db_engine)
        own.create_all(db_connection)
        Own.metadata.create_all(db_engine)
        create_all("/srv")
        UserFactory.create_all(3)
        inventory.create_all()
        User.friends.drop_all()

        assert "db.create_all()" in "db.create_all() in a string"


def test_tables_of_a_shared_metadata(db_engine, metadata):
    Table("letters", metadata, Column("value", Integer))
    metadata.create_all(db_engine)

    assert metadata.tables
