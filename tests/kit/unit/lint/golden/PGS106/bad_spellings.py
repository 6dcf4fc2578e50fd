import unittest

import pytest
from sqlalchemy import delete, text

from myapp import db


@pytest.fixture(autouse=True)
async def clean(async_db_session):
    yield
    await async_db_session.execute(text("TRUNCATE users RESTART IDENTITY CASCADE"))


class TestUsers(unittest.TestCase):
    def tearDown(self):
        for table in reversed(db.metadata.sorted_tables):
            db.session.execute(table.delete())

    def setUp(self):
        for table in db.metadata.sorted_tables:
            db.session.execute(delete(table))

    def setup_method(self):
        for table in db.metadata.sorted_tables:
            db.session.execute(text(f"DELETE FROM {table.name}"))
