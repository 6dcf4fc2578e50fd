import unittest

import pytest
from sqlalchemy import text

from myapp import db


@pytest.fixture(autouse=True)
async def clean(async_db_session):
    yield
    await async_db_session.execute(text("TRUNCATE users RESTART IDENTITY CASCADE"))


class TestUsers(unittest.TestCase):
    def tearDown(self):
        for table in reversed(db.metadata.sorted_tables):
            db.session.execute(table.delete())
