"""A project: one directory that agents work in."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from claude_headspace.clock import now
from claude_headspace.database import Model

if TYPE_CHECKING:
    from claude_headspace.models.agent import Agent


class Project(Model):
    """One directory on the developer's machine; its path is its identity."""

    __tablename__ = "projects"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    path: Mapped[str] = mapped_column(Text, unique=True)
    github_repo: Mapped[str | None] = mapped_column(Text)
    current_branch: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=now)

    agents: Mapped[list[Agent]] = relationship(
        back_populates="project",
        cascade="all, delete-orphan",
        passive_deletes=True,
        order_by="Agent.id",
    )
