"""What differs on purpose, so that the comparison can be seen to find it."""

import time

from behaviour import Behaviour

from pgsandbox.errors import NotInSandbox


def _is_clone(stage):
    return "clone" in str(stage.url.database)


def says_another_word(stage):
    """One line in the middle is another one."""
    stage.say("before")
    stage.say("a clone" if _is_clone(stage) else "the sandbox")
    stage.say("after")


def refuses_by_name(stage):
    """The sandbox says that it can't."""
    with stage.noting("asked"):
        if not _is_clone(stage):
            raise NotInSandbox("it can't")


def dies_in_the_sandbox(stage):
    """An error without a name of ours."""
    stage.say("before")
    if not _is_clone(stage):
        raise ValueError("nobody expected it")


def hangs_in_the_sandbox(stage):
    """It never comes back."""
    while not _is_clone(stage):
        time.sleep(1)


def is_the_same(stage):
    """Nothing differs."""
    stage.say("the same")


def behaviours():
    """Return them all."""
    bodies = [says_another_word, refuses_by_name, dies_in_the_sandbox]
    return [Behaviour("planted", each) for each in [*bodies, hangs_in_the_sandbox, is_the_same]]
