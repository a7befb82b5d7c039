"""Decodes events one by one that came together: 16 MB at once would hold the event loop for half a second."""

from collections.abc import Mapping
from typing import Any

import bson
from bson.codec_options import CodecOptions
from bson.errors import InvalidBSON
from bson.raw_bson import RawBSONDocument

from services.common.documents import CODEC
from services.common.error_text import error_text
from services.common.normalize import IMAGES
from services.common.numbering import UnreadableEvent

RAW: CodecOptions[RawBSONDocument] = CODEC.with_options(document_class=RawBSONDocument)


def decoded(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an event that was read raw, without its images where these cannot be decoded; raise UnreadableEvent."""
    if not isinstance(event, RawBSONDocument):
        return event
    try:
        return bson.decode(event.raw, CODEC)
    except InvalidBSON:
        pass
    try:
        return {name: value for name, value in event.items() if name not in IMAGES}
    except InvalidBSON as error:
        raise UnreadableEvent(error_text(error)) from error
