"""Reads the body of a request within bounds of size and time."""

import asyncio

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError


class BodyTooLarge(Exception):
    """The body has more bytes than allowed; the rest of it is unread."""


class BodyTooSlow(Exception):
    """The body was not complete in time."""


class BodyBroken(Exception):
    """The body is not what its headers say, or the client has left."""


async def read_body(request: web.Request, *, limit: int, deadline: float) -> bytes:
    """Return the whole body; raise BodyTooLarge, BodyTooSlow or BodyBroken.

    ``limit`` in bytes, ``deadline`` in seconds for the whole of it.
    """
    if (request.content_length or 0) > limit:
        raise BodyTooLarge
    body = bytearray()
    try:
        if request.content.is_eof():  # it came with the head, as short bodies do: nothing to wait for
            body += request.content.read_nowait()
        else:
            async with asyncio.timeout(deadline):
                while len(body) <= limit and (chunk := await request.content.readany()):
                    body += chunk
    except TimeoutError:
        raise BodyTooSlow from None
    except (web.RequestPayloadError, HttpProcessingError) as error:
        # From aiohttp's parser in Python; the one in C says nothing here, and the deadline ends the wait.
        raise BodyBroken from error
    if len(body) > limit:
        raise BodyTooLarge
    return bytes(body)
