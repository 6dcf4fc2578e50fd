# --8<-- [start:bad]
def test_the_answer_names_the_user(client):
    answer = client.post("/users", json={"name": "Ada"})

    assert answer.json["id"] == 1
# --8<-- [end:bad]
