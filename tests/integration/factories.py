"""A factory for each model: what a test does not care about has a sensible value.

An object is in the database when its factory returns, and its parents are too. Sequences begin at
0 in every test.
"""

# --8<-- [start:imports]
from datetime import timedelta
from uuid import NAMESPACE_OID, uuid5

import factory

from claude_headspace.clock import now
from claude_headspace.domain.states import TaskState, TurnActor, TurnIntent
from claude_headspace.models import (
    Agent,
    Event,
    Objective,
    ObjectiveHistory,
    Project,
    Task,
    Turn,
)
from pgsandbox.factories import Factory

# --8<-- [end:imports]


# --8<-- [start:project]
class ProjectFactory(Factory):
    """A project with a path of its own."""

    class Meta:
        model = Project

    name = factory.Sequence(lambda n: f"project-{n}")
    path = factory.Sequence(lambda n: f"/srv/project-{n}")
    github_repo = factory.LazyAttribute(lambda project: f"https://github.com/dev/{project.name}")
    current_branch = "main"


# --8<-- [end:project]


# --8<-- [start:agent]
class AgentFactory(Factory):
    """An agent at work in a project."""

    class Meta:
        model = Agent

    project = factory.SubFactory(ProjectFactory)
    session_uuid = factory.Sequence(lambda n: uuid5(NAMESPACE_OID, f"agent-{n}"))
    claude_session_id = factory.Sequence(lambda n: f"claude-{n}")
    iterm_pane_id = factory.Sequence(lambda n: f"w0t{n}p0")


# --8<-- [end:agent]


# --8<-- [start:task]
class TaskFactory(Factory):
    """A task that its agent was just given; ``TaskFactory(is_complete=True)`` took a minute."""

    class Meta:
        model = Task

    class Params:
        is_complete = factory.Trait(
            state=TaskState.COMPLETE,
            completed_at=factory.LazyAttribute(lambda task: task.started_at + timedelta(minutes=1)),
        )

    agent = factory.SubFactory(AgentFactory)
    state = TaskState.COMMANDED
    started_at = factory.LazyFunction(now)


# --8<-- [end:task]


class TurnFactory(Factory):
    """A user's command; ``TurnFactory(is_progress=True)`` is what an agent says on the way."""

    class Meta:
        model = Turn

    class Params:
        is_progress = factory.Trait(actor=TurnActor.AGENT, intent=TurnIntent.PROGRESS)

    task = factory.SubFactory(TaskFactory)
    actor = TurnActor.USER
    intent = TurnIntent.COMMAND
    text = factory.Sequence(lambda n: f"Turn {n}")


# --8<-- [start:event]
class EventFactory(Factory):
    """A hook that an agent's session called."""

    class Meta:
        model = Event

    agent = factory.SubFactory(AgentFactory)
    project = factory.SelfAttribute("agent.project")
    event_type = "hook_received"
    payload = factory.LazyAttribute(
        lambda event: {
            "hook_type": "stop",
            "claude_session_id": event.agent.claude_session_id,
            "working_directory": event.project.path,
        }
    )


# --8<-- [end:event]


class ObjectiveFactory(Factory):
    """An objective, without any history."""

    class Meta:
        model = Objective

    current_text = factory.Sequence(lambda n: f"Objective {n}")
    constraints = "No downtime"


class ObjectiveHistoryFactory(Factory):
    """The wording of an objective that holds at present: it has not ended."""

    class Meta:
        model = ObjectiveHistory

    objective = factory.SubFactory(ObjectiveFactory)
    text = factory.SelfAttribute("objective.current_text")
    constraints = factory.SelfAttribute("objective.constraints")
    started_at = factory.SelfAttribute("objective.set_at")
