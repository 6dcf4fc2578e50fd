"""A turn: one thing that the user or the agent said."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from claude_headspace.clock import now
from claude_headspace.database import Model
from claude_headspace.domain.states import TurnActor, TurnIntent
from claude_headspace.models.vocabulary import vocabulary

if TYPE_CHECKING:
    from claude_headspace.models.task import Task


class Turn(Model):
    """One thing said in a task: by whom, what it means, and the text."""

    __tablename__ = "turns"
    __table_args__ = (Index(None, "task_id", "timestamp"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), index=True)
    actor: Mapped[TurnActor] = mapped_column(vocabulary(TurnActor, "turnactor"))
    intent: Mapped[TurnIntent] = mapped_column(vocabulary(TurnIntent, "turnintent"))
    text: Mapped[str] = mapped_column(Text)
    timestamp: Mapped[datetime] = mapped_column(default=now, index=True)

    task: Mapped[Task] = relationship(back_populates="turns")
