"""An objective: what the developer wants to reach at present."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from claude_headspace.clock import now
from claude_headspace.database import Model
from claude_headspace.models.objective_history import ObjectiveHistory


class Objective(Model):
    """What the developer wants to reach; its earlier wordings are in ``history``."""

    __tablename__ = "objectives"

    id: Mapped[int] = mapped_column(primary_key=True)
    current_text: Mapped[str] = mapped_column(Text)
    constraints: Mapped[str | None] = mapped_column(Text)
    set_at: Mapped[datetime] = mapped_column(default=now)

    history: Mapped[list[ObjectiveHistory]] = relationship(
        back_populates="objective",
        cascade="all, delete-orphan",
        passive_deletes=True,
        order_by=lambda: (ObjectiveHistory.started_at.desc(), ObjectiveHistory.id.desc()),
    )
