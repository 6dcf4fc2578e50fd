"""asyncpg's COPY, which asks the sandbox first."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from typing import Any

from asyncpg import connection as base


def copying_method(name: str) -> Callable[..., Any]:
    """Return asyncpg's COPY method *name*, through the sandbox.

    What the application reads from or writes to is its own, and may need its own loop: it is read
    before the COPY begins, and written after it has ended.
    """
    method = getattr(base.Connection, name)

    @functools.wraps(method)
    async def copying(self: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        self._check_open()
        for key in ("source", "records"):
            if hasattr(kwargs.get(key), "__aiter__"):
                kwargs[key] = [each async for each in kwargs[key]]
                if key == "source":
                    kwargs[key] = io.BytesIO(b"".join(kwargs[key]))
        received: list[bytes] = []
        output = kwargs.get("output")
        is_function = callable(output) and not hasattr(output, "write")
        if is_function:

            async def receive(data: bytes) -> None:
                received.append(data)

            kwargs["output"] = receive
        is_read = name.startswith("copy_from")
        target = args[0] if args else kwargs.get("table_name") or kwargs.get("query")
        text = f"COPY ({target}) TO STDOUT" if name == "copy_from_query" else f"COPY {target}"
        text = f"{text} TO STDOUT" if name == "copy_from_table" else text
        text = text if is_read else f"{text} FROM STDIN"
        result = await self.send(text, functools.partial(method, self, *args, **kwargs))
        for data in received:
            await output(data)  # type: ignore[misc]
        return result

    return copying
