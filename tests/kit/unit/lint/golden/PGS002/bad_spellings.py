import time


def test_comments(db_session):
    time.sleep(1)  # pgsandbox: ignore
    time.sleep(1)  # pgsandbox: ignore[PGS301] -
    time.sleep(1)  # pgsandbox: ignore[PGS301]  # noqa: S101

    assert db_session
