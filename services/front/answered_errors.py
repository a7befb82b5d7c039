"""Answers what goes wrong below an application, where aiohttp's own answer is plain text and a logged traceback."""

import secrets
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.web_protocol import RequestHandler

from services.front.bodies import LONGEST_HEADER

log = structlog.get_logger(__name__)


class AnsweredErrors(RequestHandler):
    """aiohttp's protocol of a connection; errors are answered as `application/problem+json`, and logged where ours.

    What clients do wrong is not logged: anybody can send what is no HTTP, or leave in the middle, by the thousand.
    """

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        """Return the answer to a request that cannot be read, or whose handler has failed; the connection is closed."""
        if isinstance(exc, HttpProcessingError):
            return _problem(_status_of(exc), "The request cannot be read.")
        if isinstance(exc, ConnectionError) or request.transport is None or request.transport.is_closing():
            return _problem(400, "The client has left.")  # nobody reads this, and it is no fault of ours
        incident = secrets.token_hex(8)
        log.error("A request failed", incident=incident, method=request.method, path=request.path, exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun: nothing that is written now could be read as one")
        return _problem(status, "It is logged under the number in `incident`.", incident=incident)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log what aiohttp found wrong with us, in its words."""
        log.error("A connection failed", what=str(args[0]) if args else "", exc_info=kw.get("exc_info"))


def _status_of(error: HttpProcessingError) -> int:
    if not isinstance(error, LineTooLong):
        return 400
    # The limits differ by one, because aiohttp tells nothing else of which of the two it is.
    return 431 if error.args[1] == LONGEST_HEADER else 414


def _problem(status: int, detail: str, **more: str) -> web.Response:
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    response = web.Response(status=status, body=orjson.dumps(body), content_type="application/problem+json")
    response.force_close()
    return response
