"""A document that is made once: encoded once for each coding, with a tag by which it is known not to have changed."""

import hashlib

from aiohttp import ETag, hdrs, web

from services.gateway.http.codings import Coding, chosen, encode


class FixedDocument:
    """Its answers; ``headers`` are those of each."""

    def __init__(self, body: bytes, content_type: str, headers: dict[str, str] | None = None) -> None:
        self._bodies: dict[Coding | None, bytes] = {None: body}
        self._bodies |= {coding: encode(body, coding) for coding in Coding}
        digest = hashlib.sha256(body).hexdigest()[:16]
        # Each encoding has other bytes, and so a strong tag of its own (RFC 9110, 8.8.3.3).
        self._tags = {coding: digest if coding is None else f"{digest}-{coding}" for coding in self._bodies}
        self._headers = {
            hdrs.CONTENT_TYPE: content_type,
            hdrs.CACHE_CONTROL: "no-cache",  # asked for again each time, and seldom sent again
            hdrs.VARY: hdrs.ACCEPT_ENCODING,
            **(headers or {}),
        }

    def answer(self, request: web.Request) -> web.Response:
        """Return the document, or 304 to a client that has it."""
        coding = chosen(request.headers.getall(hdrs.ACCEPT_ENCODING, ()))
        if self._is_known(request):
            kept = {name: value for name, value in self._headers.items() if name != hdrs.CONTENT_TYPE}
            response = web.Response(status=304, headers=kept)
        else:
            response = web.Response(body=self._bodies[coding], headers=self._headers)
            if coding is not None:
                response.headers[hdrs.CONTENT_ENCODING] = coding
        response.etag = self._tags[coding]
        return response

    def _is_known(self, request: web.Request) -> bool:
        known: tuple[ETag, ...] = request.if_none_match or ()
        return any(tag.value == "*" or tag.value in self._tags.values() for tag in known)
