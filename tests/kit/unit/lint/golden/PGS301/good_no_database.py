import time

import pytest

from myapp.net import get_session


@pytest.fixture
def clock():
    time.sleep(0.1)
    return time.monotonic


def test_a_token_runs_out(clock, tmp_path):
    before = clock()
    time.sleep(1.1)
    get_session()

    assert clock() > before


class TestThrottling:
    def test_the_second_call_waits(self):
        time.sleep(0.5)
        assert True
