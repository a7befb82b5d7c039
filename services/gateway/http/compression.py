"""Compresses answers of the API that are large enough, where the client takes it.

What an attacker could learn from the length of a compressed answer (BREACH) needs a secret beside text that he chooses:
answers have none, neither tokens nor anything of orders that the bearer may not read.
"""

import asyncio

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.typedefs import Handler

from services.gateway.http.codings import Coding, Encoder, chosen, encode, encoder
from services.gateway.http.request_deadline import lift_deadline

LEAST = 1_400  # bytes; less goes into one packet anyway
INLINE = 16_384  # bytes that take less than half a millisecond; more are encoded in a thread
_TYPES = frozenset(
    {"application/json", "application/problem+json", "application/x-ndjson", "text/csv", "text/html", "text/yaml"}
)


@web.middleware
async def compress(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Compress a whole answer; those that are sent in pieces are an `EncodedStream`."""
    response = await handler(request)
    if not (request.path.startswith("/api/") and _may_be(response)):
        return response
    add_vary(response)
    if not isinstance(response, web.Response):
        return response  # to HEAD, without a body
    body, coding = response.body, chosen(request.headers.getall(hdrs.ACCEPT_ENCODING, ()))
    if coding is not None and isinstance(body, bytes) and len(body) >= LEAST:
        response.body = await _encoded(body, coding)
        response.headers[hdrs.CONTENT_ENCODING] = coding
    return response


def _may_be(response: web.StreamResponse) -> bool:
    # A strong tag names these very bytes, and one that is used for conditional writes cannot be of the encoded ones.
    is_tagged = response.headers.get(hdrs.ETAG, "W/").startswith('"')
    if is_tagged or response.prepared or hdrs.CONTENT_ENCODING in response.headers:
        return False
    return response.content_type in _TYPES  # last: aiohttp parses it


def add_vary(response: web.StreamResponse) -> None:
    """Tell caches that the answer depends on `Accept-Encoding`, encoded or not."""
    known = response.headers.get(hdrs.VARY)
    response.headers[hdrs.VARY] = hdrs.ACCEPT_ENCODING if known is None else f"{known}, {hdrs.ACCEPT_ENCODING}"


async def _encoded(body: bytes, coding: Coding) -> bytes:
    return encode(body, coding) if len(body) <= INLINE else await asyncio.to_thread(encode, body, coding)


class EncodedStream(web.StreamResponse):
    """An answer that is written in pieces, and compressed where the client takes it.

    Not for streams of events: an event would wait in the encoder for the next ones.
    """

    _encoder: Encoder | None = None

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send the head; from here on, the answer takes as long as its client."""
        lift_deadline(request)
        if not self.prepared:
            add_vary(self)
            coding = chosen(request.headers.getall(hdrs.ACCEPT_ENCODING, ()))
            if coding is not None:
                self.headers[hdrs.CONTENT_ENCODING] = coding
                self.content_length = None  # not known before
                if request.method != hdrs.METH_HEAD:
                    self._encoder = encoder(coding)
        return await super().prepare(request)

    async def write(self, data: "bytes | bytearray | memoryview") -> None:
        """Encode and send a piece."""
        if self._encoder is None:
            await super().write(data)
        elif encoded := await asyncio.to_thread(self._encoder.compress, bytes(data)):
            await super().write(encoded)

    async def write_eof(self, data: bytes = b"") -> None:
        """Send the end."""
        if self._encoder is None:
            await super().write_eof(data)
            return
        one, self._encoder = self._encoder, None
        await super().write_eof(await asyncio.to_thread(lambda: one.compress(data) + one.flush()))
