"""Tries to open a database, and writes down what was said."""

from pathlib import Path

from pgsandbox.errors import PgSandboxError

FILE = Path(__file__).with_name("attempts.txt")


def attempt(what, action):
    """Write down under the title *what* how *action* was refused."""
    try:
        action()
    except PgSandboxError as error:
        message = str(error).rpartition("\n\n")[0]
        said = f"{type(error).__name__}: {message}"
    else:
        said = "LET THROUGH"
    with FILE.open("a") as file:
        file.write(f"# {what}\n\n{said}\n\n")
