import time


def test_comments(db_session):
    time.sleep(1)  # pgsandbox: ignore[PGS999, PGS301] the clock counts seconds
    # pgsandbox: ignore[PGS301] too far away

    time.sleep(1)

    assert db_session
