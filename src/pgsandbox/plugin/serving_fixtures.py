"""The fixture ``live_server``, where no other plugin has one of that name.

pytest-flask and pytest-django have: their users go on with theirs, and find ours below its other
name.
"""

from __future__ import annotations

import pytest

from pgsandbox.plugin.serving import LiveServer


@pytest.fixture
def live_server(pgsandbox_live_server: LiveServer) -> LiveServer:
    """The application on a port of this machine, for clients that speak HTTP, such as a browser.

    It is what the project's fixture ``app`` returns, or else ``pgsandbox_app``: of WSGI, served by
    Werkzeug, or of ASGI, served by uvicorn. A request is answered in a thread of the test's
    process, and what it commits is undone with the test.
    """
    return pgsandbox_live_server
