"""The event `mark`: how far the stream is, for a client from which the latest changes are hidden."""

from services.common.cursor import Cursor
from services.common.documents import dumps
from services.gateway.event import encode_for_sockets
from services.gateway.group import Group


def encoded_mark(here: Cursor, group: Group) -> bytes:
    """Return the bytes for a client of the group: its filters and rights are in what it comes back with."""
    cursor = str(here._replace(view=group.view))
    return encode_for_sockets(group.form, b'"mark"', dumps({"cursor": cursor}), f"{cursor}{group.suffix}")
