from tests.helpers import describe
from myapp.models import User


class TestUsers:
    def test_method(self, db_session, client):
        client.post("/users", json={"name": "Ada"})
        self.note()

    def note(self):
        return "done"


async def test_async(async_db_session):
    async_db_session.add(User(name="Ada"))
    await async_db_session.commit()
    write_more(async_db_session)


def write_more(session):
    session.add(User(name="Grace"))
