from sqlalchemy import select

from myapp.models import User


# --8<-- [start:good]
def test_the_answer_names_the_user(client, db_session):
    answer = client.post("/users", json={"name": "Ada"})

    assert answer.json["id"] == db_session.scalar(select(User.id))
# --8<-- [end:good]
