"""Handles errors below an application, where aiohttp itself sends plain text and logs a traceback.

Checked against aiohttp 3.14: every response passes ``finish_response``, and the second argument of a LineTooLong is the
limit that was exceeded.
"""

import secrets
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.web_protocol import RequestHandler

from services.front.bodies import LONGEST_HEADER

_FIRST_ERROR = 400

log = structlog.get_logger(__name__)


class AnsweredErrors(RequestHandler):
    """aiohttp's protocol of a connection; errors become `application/problem+json`, and are logged if they are ours.

    Client errors are not logged: anyone can send malformed HTTP, or disconnect midway, by the thousand.
    """

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        """Return the response to a malformed request, or to one whose handler failed; the connection is closed."""
        if isinstance(exc, HttpProcessingError):
            return _problem(_status_of(exc), "The request cannot be read.")
        if isinstance(exc, ConnectionError) or request.transport is None or request.transport.is_closing():
            return _problem(400, "The client has disconnected.")  # nobody reads this, and it is not our fault
        incident = secrets.token_hex(8)
        log.error("A request failed", incident=incident, method=request.method, path=request.path, exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("a response has begun: another one could not be read")
        return _problem(status, "It is logged under the id in `incident`.", incident=incident)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the response; of errors that no middleware has seen, such as an unknown `Expect`, as a problem."""
        if isinstance(resp, web.HTTPException) and resp.status >= _FIRST_ERROR and request.path.startswith("/api/"):
            resp = _problem(resp.status, resp.reason)
        return await super().finish_response(request, resp, start_time)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log aiohttp's report of an internal error."""
        log.error("A connection failed", what=str(args[0]) if args else "", exc_info=kw.get("exc_info"))


def _status_of(error: HttpProcessingError) -> int:
    if not isinstance(error, LineTooLong):
        return 400
    # The two limits differ by one, because only that tells which of them aiohttp means.
    return 431 if error.args[1] == LONGEST_HEADER else 414


def _problem(status: int, detail: str, **more: str) -> web.Response:
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    response = web.Response(status=status, body=orjson.dumps(body), content_type="application/problem+json")
    response.force_close()
    return response


def problem_message(status: str, detail: str) -> bytes:
    """Return the rest of an answer from `Content-Type` on, for those who write it themselves."""
    code, _, title = status.partition(" ")
    body = orjson.dumps({"type": "about:blank", "title": title, "status": int(code), "detail": detail})
    head = b"Content-Type: application/problem+json\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
