from threading import Thread

from sqlalchemy import func, select

from myapp.models import User
from myapp.users import import_users


# --8<-- [start:good]
def test_the_worker_writes(db_session):
    worker = Thread(target=import_users)
    worker.start()
    worker.join()

    assert db_session.scalar(select(func.count(User.id))) == 3
# --8<-- [end:good]
