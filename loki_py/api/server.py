"""The ASGI entry: pushes go straight to their route, the rest through the table."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence

from starlette.concurrency import iterate_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from loki_py.api.access import NOBODY, Principal
from loki_py.api.added_headers import AsgiApp, with_headers
from loki_py.api.answers import Answer, Asked, answer_of, compressed
from loki_py.api.bodies import BytesInFlight, Holding, Receive, read_body
from loki_py.api.context import ApiContext
from loki_py.api.docs_page import docs_routes
from loki_py.api.errors import CLIENT_GONE_STATUS, TEXT_HEADERS, failure_of
from loki_py.api.forms import FORM_BYTES_MAX, FORM_TYPE, Form, parse_form
from loki_py.api.gate import admit, tell
from loki_py.api.push_answers import Scope, Send
from loki_py.api.route_table import Found, RouteTable
from loki_py.api.routes import Route
from loki_py.api.sending import Sent
from loki_py.api.tail import refuse
from loki_py.errors import ClientGone
from loki_py.runtime.logs import logger_of

__all__ = ["AsgiApp", "new_server"]

FORMS_BYTES_MAX = 64 << 20
"""All form bodies that are being read, together."""

SLICE_BYTES_MAX = 256 << 10
"""What is given to a connection at once: the client has the write time for each."""

BROKEN_OFF_STATUS = 500
"""What an answer counts as that broke off by our own fault, whatever it began as."""

NS_PER_MS = 1_000_000

_log = logger_of("api")


def new_server(
    routes: Sequence[Route],
    pushes: Mapping[str, AsgiApp],
    context: ApiContext,
    *,
    version: str,
    sockets: Mapping[str, AsgiApp] | None = None,
) -> AsgiApp:
    """Return the whole HTTP side of the process as one ASGI application.

    Args:
        routes: the table.
        pushes: who answers `POST` on a path without going through the table.
        context: what every route needs.
        version: of this program.
        sockets: who answers websockets on a path.
    """
    forms = BytesInFlight(FORMS_BYTES_MAX)
    described = docs_routes(routes, list(pushes), version=version)
    table = RouteTable((*routes, *described))

    async def answer_of_table(scope: Scope, receive: Receive, send: Send) -> None:
        found = table.find(scope["path"])
        if found is None:
            response = Response("404 page not found\n", 404, dict(TEXT_HEADERS))
            await response(scope, receive, send)
        elif scope["method"] not in found.route.methods:
            await _wrong_method(found.route.methods)(scope, receive, send)
        else:
            await _serve(found, Request(scope, receive), send, context, forms)

    async def entry(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            answer = (sockets or {}).get(scope["path"], _no_such_socket)
        elif scope["path"] in pushes:
            is_push = scope["method"] == "POST"
            answer = pushes[scope["path"]] if is_push else _wrong_method(("POST",))
        else:
            answer = answer_of_table
        await answer(scope, receive, send)

    return with_headers(entry, context.headers)


async def _serve(
    found: Found,
    request: Request,
    send: Send,
    context: ApiContext,
    forms: BytesInFlight,
) -> None:
    """Answer a request; tell of it when its answer has gone out, or never will."""
    route = found.route
    started_ns = context.clock.monotonic_ns()
    sent = Sent()
    with context.metrics.in_flight(request.method, route.name):
        caller, answer = await _caller_and_answer(found, request, context, forms)
        status = BROKEN_OFF_STATUS
        try:
            await _response_of(answer)(
                request.scope, request.receive, sent.counted(send)
            )
            status = answer.status if sent.is_whole else CLIENT_GONE_STATUS
        finally:
            duration_ns = context.clock.monotonic_ns() - started_ns
            tell(route, request, context, caller=caller, status=status)
            context.metrics.observe(
                method=request.method,
                route=route.name,
                status=status,
                duration_ns=duration_ns,
            )
            _log.debug(
                "request",
                method=request.method,
                route=route.name,
                status=status,
                body_bytes=sent.body_bytes,
                duration_ms=duration_ns // NS_PER_MS,
                client_left=status == CLIENT_GONE_STATUS,
            )


async def _caller_and_answer(
    found: Found, request: Request, context: ApiContext, forms: BytesInFlight
) -> tuple[tuple[Principal, str], Answer]:
    """Return who asked, about which tenant, and the answer, be it a refusal."""
    route = found.route
    caller = NOBODY, ""
    try:
        caller = admit(route, request.method, request.headers, context)
        answer = await _answered(found, caller[1], request, context, forms)
    except Exception as error:  # noqa: BLE001  # every failure has an answer
        failure = failure_of(error)
        context.metrics.panics.inc(failure.is_unforeseen)
        if failure.is_ours:
            _log.exception("request failed", route=route.name)
        answer = answer_of(failure)
    if context.compress_responses and _takes_gzip(request):
        answer = await compressed(answer)
    return caller, answer


def _response_of(answer: Answer) -> Response:
    headers = dict(answer.headers)
    if answer.pieces is not None:
        pieces = iterate_in_threadpool(answer.pieces)
    elif len(answer.body) > SLICE_BYTES_MAX:
        headers["content-length"] = str(len(answer.body))
        pieces = _alone(answer.body)
    else:
        return Response(answer.body, answer.status, headers)
    return StreamingResponse(_slices(pieces), answer.status, headers)


async def _alone(piece: bytes) -> AsyncIterator[bytes]:
    yield piece


async def _slices(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes | memoryview]:
    """Yield what `pieces` gives, in slices; end when the last one has been taken.

    A connection takes the next slice, be it empty, when most of the one before
    has gone out, and takes anything once it is lost: so who watches for its end
    has a turn after each.
    """
    async for piece in pieces:
        whole = memoryview(piece)
        for first in range(0, len(whole), SLICE_BYTES_MAX):
            yield whole[first : first + SLICE_BYTES_MAX]
            await asyncio.sleep(0)
    yield b""
    await asyncio.sleep(0)


def _wrong_method(methods: Sequence[str]) -> Response:
    return Response(status_code=405, headers={"allow": ", ".join(methods)})


async def _answered(
    found: Found,
    tenant: str,
    request: Request,
    context: ApiContext,
    forms: BytesInFlight,
) -> Answer:
    route = found.route
    if not route.while_starting:
        context.check_running()
    asked = Asked(
        tenant=tenant,
        form=await _form_of(request, forms),
        headers=request.headers,
        path=found.parts,
        method=request.method,
    )
    if not route.is_cancelled:
        return await route.answer(asked)
    return await _until_disconnect(request, route.answer(asked))


async def _form_of(request: Request, forms: BytesInFlight) -> Form:
    query = request.scope["query_string"].decode("latin-1")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method == "GET" or kind != FORM_TYPE:
        return parse_form(query)
    length = request.headers.get("content-length", "")
    with Holding(forms) as holding:
        body = await read_body(
            request.receive,
            holding,
            declared=int(length) if length.isdecimal() else -1,
            bytes_max=FORM_BYTES_MAX,
        )
    return parse_form(query, body)


async def _until_disconnect(request: Request, work: Awaitable[Answer]) -> Answer:
    """Return what `work` gives; cancel it where the client goes away first.

    Raises: ClientGone.
    """
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientGone("client closed the connection")
    finally:
        task.cancel()
        watch.cancel()
        await asyncio.wait({task, watch})


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _takes_gzip(request: Request) -> bool:
    return "gzip" in request.headers.get("accept-encoding", "")


async def _no_such_socket(_scope: Scope, receive: Receive, send: Send) -> None:
    await receive()  # websocket.connect
    await refuse(Answer(b"404 page not found\n", TEXT_HEADERS, 404), send)
