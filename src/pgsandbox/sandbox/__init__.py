"""Connections whose commits are undone."""

from pgsandbox.sandbox.clones import Clone
from pgsandbox.sandbox.door import Door
from pgsandbox.sandbox.enclosure import Enclosure

__all__ = ["Clone", "Door", "Enclosure"]
