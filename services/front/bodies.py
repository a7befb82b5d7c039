"""Keeps the bodies of requests from costing anything where nobody reads them."""

import asyncio
from contextlib import suppress
from typing import Any

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

LONGEST_TARGET = 16_384  # bytes of a request's address, which may hold the id of an order, percent-encoded
LONGEST_HEADER = 8191

# For every server of ours. A compressed body is refused, but aiohttp would already unpack it: 250 KB are 250 MB.
SERVER_OPTIONS: dict[str, Any] = {
    "access_log": None,
    "auto_decompress": False,
    "lingering_time": 0.0,  # `drain_unread_body` does it, within bounds
    "max_line_size": LONGEST_TARGET,
    "max_field_size": LONGEST_HEADER,
}

DRAINED_BYTES = 1_048_576
DRAINED_SECONDS = 2.0


def refuse_encoded(request: web.Request) -> None:
    """Refuse a body that is compressed, whatever the address, before anything is read of it: a check."""
    for encoding in request.headers.getall(hdrs.CONTENT_ENCODING, ()):
        if encoding.strip().lower() != "identity":
            raise web.HTTPUnsupportedMediaType(text="Send the body uncompressed.")


@web.middleware
async def drain_unread_body(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Where a request is answered before its body is complete, send the answer and close the connection soon.

    At once would be too soon: what was not read turns the close into a reset, which overtakes the answer. So a little
    of the rest is read and forgotten first. To be the outermost middleware.
    """
    try:
        response = await handler(request)
    except web.HTTPException as error:
        await _answer_and_drain(request, error)
        raise
    await _answer_and_drain(request, response)
    return response


async def _answer_and_drain(request: web.Request, response: web.StreamResponse) -> None:
    if request.content.is_eof():
        return
    response.force_close()
    await response.prepare(request)
    await response.write_eof()
    left = DRAINED_BYTES
    with suppress(TimeoutError, HttpProcessingError, web.RequestPayloadError):
        async with asyncio.timeout(DRAINED_SECONDS):
            while left > 0 and (chunk := await request.content.readany()):
                left -= len(chunk)
