"""Sets up structured logging, the same for both services."""

import logging
import sys

import structlog
from structlog.typing import Processor

from services.common.settings import LogFormat, LogLevel


def configure(level: LogLevel, format: LogFormat, service: str) -> None:
    """Send every log line, the libraries' too, to standard output in one format.

    Call it once, before anything logs.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if format is LogFormat.JSON:
        shared.append(_named(service))
        render: list[Processor] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        render = [structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())]
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=structlog.PrintLoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[remove_meta, *render])
    )
    # The drivers' own lines are about single attempts; what they mean for the service is logged by the service.
    logging.basicConfig(handlers=[handler], level=max(logging.WARNING, getattr(logging, level)), force=True)
    if level is not LogLevel.DEBUG:
        logging.getLogger("pymongo").setLevel(logging.CRITICAL)  # tracebacks of background tasks, one for each attempt


def _named(service: str) -> Processor:
    def add(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["service"] = service
        return event

    return add
