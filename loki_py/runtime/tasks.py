"""The end of a task that runs beside others."""

import asyncio
from typing import Any


async def end_task(task: "asyncio.Task[Any] | None") -> None:
    """Cancel a task, and wait until it has ended; None has ended already.

    Raises: what the task itself failed with.
    """
    if task is None:
        return
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()
