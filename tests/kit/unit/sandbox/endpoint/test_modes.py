"""The modes that a BEGIN or a SET TRANSACTION asks for."""

from __future__ import annotations

import pytest

from pgsandbox.sandbox.endpoint.modes import modes_of


@pytest.mark.parametrize(
    ("text", "reads_only", "is_deferrable"),
    [
        ("BEGIN", None, None),
        ("begin read only", True, None),
        ("START TRANSACTION READ WRITE, NOT DEFERRABLE", False, False),
        ("SET TRANSACTION DEFERRABLE", None, True),
        ("SET TRANSACTION ISOLATION LEVEL READ COMMITTED", None, None),
        ("SET transaction_read_only = on", True, None),
        ("SET LOCAL transaction_read_only TO 'off'", False, None),
        ("SET transaction_deferrable = true", None, True),
    ],
)
def test_modes(text: str, reads_only: bool | None, is_deferrable: bool | None) -> None:
    """None where nothing is asked for, so that the session's defaults hold."""
    assert modes_of(text) == (reads_only, is_deferrable)
