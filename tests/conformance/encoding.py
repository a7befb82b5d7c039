"""Encodes messages once for all clients of a form, as `gateway/event.py` does with changes."""

from collections.abc import Sequence

from services.gateway.event import SEPARATOR
from services.gateway.wire.form import Form
from services.gateway.wire.websocket import text_frame


def encoded_message(form: Form, text: bytes) -> bytes:
    """Return a text message: a complete frame, or a packet of a polling payload."""
    return text_frame(b"4" + text) if form is Form.WEBSOCKET else b"4" + text


def joined(form: Form, messages: Sequence[bytes]) -> bytes:
    """Return several encoded messages as one."""
    return SEPARATOR[form].join(messages)
