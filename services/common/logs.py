"""Sets up structured logging, the same for both services.

A line is a sentence and fields, of bounded length whatever their values. An error is shown by its last frames, without
the values of variables: these hold client input, and rendering them once blocked the event loop for 16 seconds.
Repetitions of a line are rate limited and counted, so that no client can fill the disk.
"""

import logging
import sys
import traceback
from collections.abc import Callable, Hashable
from time import monotonic
from typing import Any

import structlog
from structlog.typing import EventDict, ExcInfo, Processor

from services.common.settings import LogFormat, LogLevel

_LONGEST = 500  # characters of one field
_LONGEST_LINE = 300  # of a traceback
_MOST_LINES = 40  # of a traceback, from its end
_FRAMES = 8  # of each error in a chain

BURST = 10  # repetitions of a line that are written at once; after that
EVERY = 1.0  # seconds between two repetitions
_MOST_KINDS = 1000  # of lines; beyond, all counts are reset


def configure(level: LogLevel, format: LogFormat, service: str) -> None:
    """Send every log line, including the libraries', to standard output in one format.

    Call it once, before anything logs.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render: list[Processor] = [_within_bounds, structlog.processors.ExceptionRenderer(short_traceback)]
    if format is LogFormat.JSON:
        shared.append(_named(service))
        render.append(structlog.processors.JSONRenderer())
    else:
        plain = structlog.dev.plain_traceback
        render.append(structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty(), exception_formatter=plain))
    limiter = RepeatLimiter()
    structlog.configure(
        processors=[limiter.process, *shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=structlog.PrintLoggerFactory(),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        handlers=[_libraries(limiter, shared, render)], level=max(logging.WARNING, getattr(logging, level)), force=True
    )
    # The drivers log single attempts; the service itself logs what those mean for it.
    if level is not LogLevel.DEBUG:
        logging.getLogger("pymongo").setLevel(logging.CRITICAL)  # tracebacks of background tasks, one per attempt


def _libraries(limiter: "RepeatLimiter", shared: list[Processor], render: list[Processor]) -> logging.Handler:
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(limiter.filter)
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder(allow=["suppressed"])],
            processors=[remove_meta, *render],
        )
    )
    return handler


class RepeatLimiter:
    """Rate limits each line to a burst of `BURST`, then one per second, which carries the number suppressed."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._kinds: dict[
            Hashable, tuple[float, float, int]
        ] = {}  # tokens, last update, suppressed since the last line

    def _pass(self, kind: Hashable) -> int | None:
        """Return the number of lines of the kind suppressed before this one; None if this one is suppressed, too."""
        now = self._now()
        tokens, since, left_out = self._kinds.get(kind, (float(BURST), now, 0))
        tokens = min(tokens + (now - since) / EVERY, BURST)
        passes = tokens >= 1
        if kind not in self._kinds and len(self._kinds) >= _MOST_KINDS:
            self._kinds.clear()
        self._kinds[kind] = (tokens - 1, now, 0) if passes else (tokens, now, left_out + 1)
        return left_out if passes else None

    def process(self, _logger: object, method: str, event: EventDict) -> EventDict:
        """Process a structlog event: our own lines are identified by their sentence."""
        if method != "debug":
            left_out = self._pass(event.get("event"))
            if left_out is None:
                raise structlog.DropEvent
            if left_out:
                event["suppressed"] = left_out
        return event

    def filter(self, record: logging.LogRecord) -> bool:
        """Filter a library's record: it is identified by its source line, since its text may vary."""
        if record.levelno > logging.DEBUG:
            left_out = self._pass((record.name, record.pathname, record.lineno))
            if left_out is None:
                return False
            if left_out:
                record.suppressed = left_out
        return True


def short_traceback(exc_info: ExcInfo) -> str:
    """Return the last frames of an error, and of its causes."""
    lines = "".join(traceback.format_exception(*exc_info, limit=-_FRAMES)).splitlines()
    if len(lines) > _MOST_LINES:
        lines = ["...", *lines[-_MOST_LINES:]]
    return "\n".join(_cut(line, _LONGEST_LINE) for line in lines)


def _within_bounds(_logger: object, _method: str, event: EventDict) -> EventDict:
    for key, value in event.items():
        if key != "exc_info" and not isinstance(value, (bool, int, float, type(None))):
            event[key] = _bounded(value)
    return event


def _bounded(value: Any) -> Any:
    text = value if isinstance(value, str) else str(value)
    cut = _cut(text, _LONGEST)
    return value if cut is text else cut


def _cut(text: str, most: int) -> str:
    """Truncate the text to ``most`` characters; escape it if it holds control or unencodable characters."""
    cut = text if len(text) <= most else text[:most] + "..."
    return cut if cut.isprintable() else cut.encode("unicode_escape").decode()


def _named(service: str) -> Processor:
    def add(_logger: object, _method: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    return add
