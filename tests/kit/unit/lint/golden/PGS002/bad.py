import time

from myapp.visits import visit


# --8<-- [start:bad]
def test_a_second_visit_is_later(db_session):
    first = visit(db_session)
    time.sleep(1.1)  # pgsandbox: ignore[PGS301]

    assert visit(db_session).at > first.at
# --8<-- [end:bad]
