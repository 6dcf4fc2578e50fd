import time as clock
from time import sleep as nap


def test_sleeping(db_session):
    clock.sleep(1)
    nap(0.5)
    for _ in range(3):
        clock.sleep(0.1)
    while True:
        nap(1)
