"""One wording of an objective, and from when to when it held."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from claude_headspace.clock import now
from claude_headspace.database import Model

if TYPE_CHECKING:
    from claude_headspace.models.objective import Objective


class ObjectiveHistory(Model):
    """One wording of an objective; at most one per objective is open, that is, has not ended."""

    __tablename__ = "objective_histories"
    __table_args__ = (
        CheckConstraint("ended_at >= started_at", name="ended_not_before_started"),
        Index(
            "uq_objective_histories_open",
            "objective_id",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    objective_id: Mapped[int] = mapped_column(
        ForeignKey("objectives.id", ondelete="CASCADE"), index=True
    )
    text: Mapped[str] = mapped_column(Text)
    constraints: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(default=now)
    ended_at: Mapped[datetime | None]

    objective: Mapped[Objective] = relationship(back_populates="history")
