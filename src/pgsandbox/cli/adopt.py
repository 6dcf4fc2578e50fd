"""``pgsandbox adopt``: hand empty databases over to runs whose role may not create any.

An administrator prepares them, one for each process of pytest-xdist; their owner adopts them. From
then on every run that takes one empties it, at its start and at its end.
"""

from __future__ import annotations

import argparse
import json
import sys

from pgsandbox import databases
from pgsandbox.cli import FINE
from pgsandbox.cli.project import root_argument, settings_of
from pgsandbox.config import Settings
from pgsandbox.errors import AdoptionRefused, Fact
from pgsandbox.wiring import Run, choose_server


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("names", nargs="+", metavar="NAME", help="an empty database of your role")
    parser.add_argument("--json", action="store_true", help="print an object for programs")
    root_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Adopt each of the names; those before one that is refused stay adopted."""
    settings = settings_of(options.root)
    for name in options.names:
        _refuse_the_applications_own(settings, name)
    server = choose_server(settings, Run(settings).application_url)
    try:
        marks = [databases.adopt(server, each, owner=str(settings.root)) for each in options.names]
    finally:
        server.release()
    if options.json:
        said = [{"database": each.database, "created": each.created} for each in marks]
        sys.stdout.write(f"{json.dumps({'adopted': said}, indent=2)}\n")
    else:
        for mark in marks:
            sys.stdout.write(f"{mark.database} is adopted: every run that takes it empties it\n")
    return FINE


def _refuse_the_applications_own(settings: Settings, name: str) -> None:
    """The database that the application works with is never a target, empty or not."""
    url = Run(settings).application_url()
    if url is None or url.database != name:
        return
    raise AdoptionRefused(
        f'"{name}" is the name of the application\'s own database, which is never a target.',
        facts=[Fact("url", url.render_as_string(hide_password=True), settings.source_of("url"))],
        remedy="Prepare another database, with a name that ends in _test.",
    )
