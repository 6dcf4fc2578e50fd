"""The connection interceptor, installed and removed."""

from __future__ import annotations

from pgsandbox.sandbox import driver_hooks
from pgsandbox.sandbox.interceptor import ConnectionInterceptor
from pgsandbox.sandbox.judging import Judge
from pgsandbox.sandbox.running_test import RunningTest


def test_drivers_that_were_freed_stay_free() -> None:
    """Also where the interceptor was set aside for a while, as a comparison of schemas does."""
    before = list(driver_hooks._watchers)
    interceptor = ConnectionInterceptor(Judge(RunningTest()))
    interceptor.install()
    interceptor.free_the_drivers()
    interceptor.remove()
    interceptor.install()
    watchers = list(driver_hooks._watchers)
    interceptor.remove()

    assert watchers == before
