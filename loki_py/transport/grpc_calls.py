"""Calls of an instance in another process, and what goes wrong with them.

What goes wrong on the way, or in the other process without a word, is an
`InstanceLost`; errors that were raised there are raised here as they were.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import msgspec

from loki_py.errors import CorruptData, LokiError
from loki_py.transport import grpc_names as names
from loki_py.transport.abc import InstanceLost
from loki_py.transport.errors_on_wire import error_of
from loki_py.wire.messages import Rejection, decode_message

_REJECTIONS = msgspec.json.Decoder(Rejection)
_TEXTS = {
    grpc.StatusCode.DEADLINE_EXCEEDED: "no answer in time",
    grpc.StatusCode.UNAVAILABLE: "not reached",
}


def method_of(
    instance_id: str, kind: Callable[[str], Any], name: str
) -> Callable[..., Any]:
    """Return a method of a channel; where that is closed, it raises InstanceLost.

    Args:
        kind: of the channel, as `unary_unary`.
    """
    method = kind(names.method_of(name))

    def make(data: bytes, **bounds: float) -> Any:
        try:
            return method(data, **bounds)
        except grpc.aio.UsageError as error:
            raise InstanceLost(instance_id, str(error)) from error

    return make


async def answer_of(instance_id: str, call: Awaitable[bytes]) -> bytes:
    """Return what a call is answered with.

    Raises: LokiError, as it was raised there; InstanceLost.
    """
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise error_of_call(instance_id, error) from error
    except grpc.aio.UsageError as error:
        raise InstanceLost(instance_id, str(error)) from error
    except asyncio.CancelledError:
        check_cut_off(instance_id)
        raise


def decoded(instance_id: str, data: bytes, kind: type[Any]) -> tuple[Any, memoryview]:
    """Return the header of an answer, and what is behind it.

    Raises: InstanceLost where it is none.
    """
    try:
        return decode_message(data, kind)
    except CorruptData as error:
        raise InstanceLost(instance_id, str(error)) from error


def check_cut_off(instance_id: str) -> None:
    """Tell a call that the channel's closing cancelled from a cancelled task.

    Raises: InstanceLost where nobody cancelled the task.
    """
    task = asyncio.current_task()
    if task is None or not task.cancelling():
        raise InstanceLost(instance_id, "the connection was closed")


def error_of_call(instance_id: str, error: "grpc.aio.AioRpcError") -> LokiError:
    """Return what a call that failed says."""
    for key, value in error.trailing_metadata() or ():
        if key == names.ERROR_KEY:
            try:
                return error_of(_REJECTIONS.decode(value))
            except msgspec.DecodeError:
                break
    code, details = error.code(), error.details() or ""
    what = _TEXTS.get(code, code.name.lower())
    return InstanceLost(instance_id, f"{what}: {details[:200]}")
