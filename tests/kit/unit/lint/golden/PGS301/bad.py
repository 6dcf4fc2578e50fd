import time
from threading import Thread

from sqlalchemy import func, select

from myapp.models import User
from myapp.users import import_users


# --8<-- [start:bad]
def test_the_worker_writes(db_session):
    Thread(target=import_users).start()
    time.sleep(2)

    assert db_session.scalar(select(func.count(User.id))) == 3
# --8<-- [end:bad]
