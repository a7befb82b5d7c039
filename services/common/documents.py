"""Turns a BSON document into plain JSON values, the same in events and in REST replies."""

import base64
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS
from bson.json_util import default as extended_json

Json = dict[str, "Json"] | list["Json"] | str | int | float | None

# Documents of other programs may hold dates beyond the year 9999 and text that is not UTF-8: both must pass.
CODEC: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=False,  # still UTC; aware ones take three times as long to create
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    unicode_decode_error_handler="replace",
)

_LARGEST_EXACT = 2**53  # JavaScript silently rounds larger integers
_LAST_DATE = 8_640_000_000_000_000  # milliseconds; JavaScript's last date, and the negative one its first
_CALENDAR_CYCLE = 146_097 * 86_400_000  # milliseconds of 400 years


def dumps(value: Json) -> bytes:
    """Encode plain JSON values as compact UTF-8."""
    return orjson.dumps(value)


def to_json(document: Mapping[str, Any]) -> dict[str, Json]:
    """Return the document with every BSON value as a JSON value.

    ObjectId → hex, date → ISO 8601 UTC with milliseconds (beyond the years 0 to 9999 with JavaScript's six digits),
    Decimal128 → string, integers beyond ±2^53 and numbers that JSON lacks (NaN, Infinity) → string, binary → base64,
    UUID → its text. A type without a JSON equivalent (timestamp, code, regex, min and max key, …) becomes its MongoDB
    Extended JSON v2 object, whose contents (the id of a DBRef, the scope of code) are converted in the same way. Of
    duplicate keys, the last is kept.
    """
    return {key: value if type(value) is str else json_value(value) for key, value in document.items()}


def json_value(value: Any) -> Json:
    """Return one BSON value as a JSON value, as ``to_json`` describes."""
    convert = _CONVERT.get(type(value))
    if convert is not None:
        return convert(value)
    for base, convert in _CONVERT.items():  # a subclass, or a mapping of the driver's own such as RawBSONDocument
        if isinstance(value, base):
            return convert(value)
    return str(value)


def iso_at(seconds: float) -> str:
    """Write a time in seconds since 1970, as `iso` does."""
    return iso(datetime.fromtimestamp(seconds, UTC))


def iso(moment: datetime) -> str:
    """Write a moment as ISO 8601 UTC with milliseconds, ``2026-01-01T00:00:00.000Z``; naive ones are taken as UTC."""
    text = moment.isoformat(timespec="milliseconds")
    if moment.tzinfo is None:
        return text + "Z"
    return (text if text.endswith("+00:00") else moment.astimezone(UTC).isoformat(timespec="milliseconds"))[:-6] + "Z"


def _same(value: Any) -> Any:
    return value


def _integer(value: int) -> Json:
    return int(value) if -_LARGEST_EXACT <= value <= _LARGEST_EXACT else str(int(value))


def _number(value: float) -> Json:
    if value.is_integer() and abs(value) <= _LARGEST_EXACT:
        return int(value)  # JavaScript turns 5.0 into 5: an order of this id would differ between an event and a list
    return value if math.isfinite(value) else {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")


def _far_date(value: DatetimeMS) -> Json:
    """Write a date outside the years 1 to 9999 with its year in six digits and a sign, as JavaScript reads it.

    Beyond JavaScript's range of dates (275,000 years from 1970) it is the milliseconds since 1970, as text.
    """
    milliseconds = int(value)
    if abs(milliseconds) > _LAST_DATE:
        return str(milliseconds)
    # The calendar repeats every 400 years, so Python's, which ends at the year 9999, can compute the rest.
    cycles, rest = divmod(milliseconds, _CALENDAR_CYCLE)
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=rest)
    year = moment.year + 400 * cycles
    shown = f"{year:04d}" if 0 <= year <= 9999 else f"{year:+07d}"
    return f"{shown}{iso(moment)[4:]}"


def _binary(value: bytes) -> Json:
    return base64.b64encode(value).decode()


def _binary_of_subtype(value: Binary) -> Json:
    if value.subtype == 4 and len(value) == 16:
        return str(value.as_uuid())
    return _binary(value)


def _code(value: Code) -> Json:
    code: dict[str, Json] = {"$code": str(value)}
    return code if value.scope is None else {**code, "$scope": to_json(value.scope)}


def _extended(value: Any) -> Json:
    plain: Json = extended_json(value)
    return plain


_CONVERT: dict[type, Callable[[Any], Json]] = {
    str: _same,
    bool: _same,
    type(None): _same,
    ObjectId: str,
    datetime: iso,
    Int64: _integer,
    int: _integer,
    float: _number,
    list: lambda value: [json_value(item) for item in value],
    dict: to_json,
    Decimal128: str,
    Binary: _binary_of_subtype,
    bytes: _binary,
    UUID: str,
    DatetimeMS: _far_date,
    Timestamp: _extended,
    Regex: _extended,
    re.Pattern: _extended,
    Code: _code,
    DBRef: lambda value: to_json(value.as_doc()),
    MinKey: _extended,
    MaxKey: _extended,
    Mapping: to_json,
}
