"""The endpoint where the system has no epoll, as on macOS: what wakes it up is the same.

The tests are those of `test_cancelling` and some of volumes, with an endpoint that finds neither
epoll nor Linux's way to ask for a peer's process.
"""

from __future__ import annotations

import pytest

from pgsandbox.sandbox import endpoint_process
from tests.kit.integration.sandbox.endpoint.conftest import Sandbox, Start
from tests.kit.integration.sandbox.endpoint.test_cancelling import (
    test_a_cancelled_transaction_has_failed,
    test_a_client_that_runs_nothing_is_not_cancelled,
    test_a_request_may_come_after_its_connection_while_the_server_works,
    test_a_request_may_come_long_after_its_connection,
    test_a_result_that_nobody_reads_is_cancelled,
    test_a_running_statement_is_cancelled,
    test_a_wait_for_another_client_is_cancelled,
    test_a_wait_is_cancelled_while_the_server_works_for_another,
)
from tests.kit.integration.sandbox.endpoint.test_volumes import (
    test_a_hundred_clients_at_once,
    test_rows_are_streamed_while_others_work,
    test_who_sends_without_reading_is_answered_in_the_end,
)

__all__ = [
    "test_a_cancelled_transaction_has_failed",
    "test_a_client_that_runs_nothing_is_not_cancelled",
    "test_a_hundred_clients_at_once",
    "test_a_request_may_come_after_its_connection_while_the_server_works",
    "test_a_request_may_come_long_after_its_connection",
    "test_a_result_that_nobody_reads_is_cancelled",
    "test_a_running_statement_is_cancelled",
    "test_a_wait_for_another_client_is_cancelled",
    "test_a_wait_is_cancelled_while_the_server_works_for_another",
    "test_rows_are_streamed_while_others_work",
    "test_who_sends_without_reading_is_answered_in_the_end",
]

_WITHOUT = "import select, socket; del select.epoll, socket.SO_PEERCRED; "


@pytest.fixture(scope="module")
def running(start_endpoint: Start) -> list[Sandbox]:
    """An endpoint for the tests of this module alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(endpoint_process, "_START", _WITHOUT + endpoint_process._START)
        return [start_endpoint()]


def test_many_clients_come_and_go(sandbox: Sandbox) -> None:
    """Descriptors of clients that are gone are those of others, and of new servers."""
    for _ in range(3):
        clients = [sandbox.client() for _ in range(20)]
        found = [client.value("SELECT 1") for client in clients]
        for client in clients:
            client.vanish()

        assert found == ["1"] * 20


def test_a_client_of_an_unknown_process_is_named_so(sandbox: Sandbox) -> None:
    """In the words of a refusal."""
    client = sandbox.client()
    client.run("BEGIN ISOLATION LEVEL SERIALIZABLE")
    heard = client.run("SELECT 1")

    assert "a process that does not say which" in str([each.fields for each in heard])
