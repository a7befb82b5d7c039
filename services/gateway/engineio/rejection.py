"""Refuses requests with the status and body of the reference server, which stock clients understand."""

from collections.abc import Mapping
from enum import IntEnum

from aiohttp import web

from services.gateway.edge.incidents import IncidentKind
from services.gateway.edge.registry import RETRY_SECONDS
from services.gateway.wire import strict_json


class ErrorCode(IntEnum):
    """The `code` in the body of a refusal."""

    UNKNOWN_TRANSPORT = 0
    UNKNOWN_SID = 1
    BAD_HANDSHAKE_METHOD = 2
    BAD_REQUEST = 3
    FORBIDDEN = 4
    UNSUPPORTED_PROTOCOL_VERSION = 5


_MESSAGES = {
    ErrorCode.UNKNOWN_TRANSPORT: "Transport unknown",
    ErrorCode.UNKNOWN_SID: "Session ID unknown",
    ErrorCode.BAD_HANDSHAKE_METHOD: "Bad handshake method",
    ErrorCode.BAD_REQUEST: "Bad request",
    ErrorCode.FORBIDDEN: "Forbidden",
    ErrorCode.UNSUPPORTED_PROTOCOL_VERSION: "Unsupported protocol version",
}


class Rejected(Exception):
    """The request is answered with an error; no session is opened, and existing ones are unaffected."""

    def __init__(
        self,
        code: ErrorCode,
        message: str | None = None,
        *,
        status: int = 400,
        incident: IncidentKind = IncidentKind.BAD_REQUEST,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message or _MESSAGES[code])
        self.code = code
        self.message = message or _MESSAGES[code]
        self.status = status
        self.incident = incident
        self.headers = dict(headers or {})

    def response(self, *, upgrade: bool) -> web.Response:
        """Return the response; to a websocket handshake it is plain text, and the connection is closed."""
        headers = {"Cache-Control": "no-store", **self.headers}
        if self.status in {429, 503}:
            headers.setdefault("Retry-After", str(RETRY_SECONDS))
        if upgrade:
            response = web.Response(status=self.status, text=self.message, content_type="text/html", headers=headers)
            response.force_close()
            return response
        body = strict_json.dumps({"code": self.code, "message": self.message})
        return web.Response(status=self.status, body=body, content_type="application/json", headers=headers)
