"""The kit's own base."""

from pgsandbox.factories import Factory as BaseFactory

__all__ = ["BaseFactory"]
