from myapp.models import User

OTHER_ID = 9


def make(user_id, name):
    return User(id=user_id, name=name)


def test_chosen(db_session, client):
    db_session.add(User(id=7, name="Ada"))
    client.post("/users", json={"id": 8})
    grace = make(5, "Grace")
    found = db_session.get(User, 7)

    assert found.id == 7
    assert client.get("/users/8").json["id"] == 8
    assert client.get("/other").json["id"] == 9
    assert grace.id == 5
    assert found.id > 0
    assert found.id != 3
    assert found.id == found.pk
    assert found.id == "3"
    assert found.id is not None
    assert found.is_id == True
    assert len(found.ids) == 3
    assert found.version == 1
