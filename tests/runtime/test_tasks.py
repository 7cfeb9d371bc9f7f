"""The end of tasks: cancelled and awaited, failures told."""

import asyncio
import contextlib

import pytest

from loki_py.runtime.tasks import end_task


async def test_task_has_ended_when_its_end_returns():
    ended = []

    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    await end_task(task)

    assert ended
    assert task.cancelled()


async def test_no_task_has_ended():
    await end_task(None)


async def test_failure_of_the_task_is_told():
    async def work():
        raise OSError("disk")

    task = asyncio.create_task(work())
    await asyncio.sleep(0)

    with pytest.raises(OSError, match="disk"):
        await end_task(task)


async def test_who_waits_for_an_end_can_be_cancelled():
    """A cancellation of the waiting is not taken for that of the task."""
    may_end = asyncio.Event()

    async def work():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await may_end.wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    waiting = asyncio.create_task(end_task(task))
    await asyncio.sleep(0)
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    may_end.set()
    await task
