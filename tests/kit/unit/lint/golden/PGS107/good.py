from sqlalchemy import text


# --8<-- [start:good]
def test_the_database_is_there(pg, db_session):
    assert db_session.scalar(text("select current_database()")) in pg.url
# --8<-- [end:good]
