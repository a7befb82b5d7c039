"""What the answers about orders have in common: JSON, cursors, and the order that an address names."""

from collections.abc import Callable, Mapping
from urllib.parse import unquote

from aiohttp import web

from services.common.cursor import Cursor, Position
from services.gateway.audience import Rights, view_of
from services.gateway.input_rules import FieldFault, InvalidInput
from services.gateway.orders import parse_id

STREAM_CURSOR = "Stream-Cursor"
ETAG = "ETag"  # as RFC 9110 writes it; aiohttp has another form

Epoch = Callable[[], str | None]


def json_response(body: bytes, headers: Mapping[str, str], *, status: int = 200) -> web.Response:
    """Return an answer of encoded JSON."""
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


def cursor_header(epoch: str | None, position: Position | None, rights: Rights) -> dict[str, str]:
    """Return the header with the cursor for one with these rights, where it is known."""
    return {} if epoch is None or position is None else {STREAM_CURSOR: str(Cursor(epoch, position, view_of(rights)))}


def id_of(request: web.Request) -> str:
    """Return the id that the address ends in; raise InvalidInput."""
    # From the address as it came: what aiohttp makes of it no longer tells `%FF`, which is no text, from `%25FF`.
    name = request.rel_url.raw_path.rpartition("/")[2]
    try:
        return parse_id(unquote(name, errors="strict"))
    except UnicodeDecodeError:
        raise InvalidInput([FieldFault("id", "must be percent-encoded UTF-8")]) from None
