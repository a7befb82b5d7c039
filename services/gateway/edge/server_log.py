"""The HTTP server's own log, without what clients did wrong."""

import logging

from aiohttp.http_exceptions import HttpProcessingError


def server_log(name: str = "aiohttp.server") -> logging.Logger:
    """Return the logger to give to aiohttp's runner: ``AppRunner(app, logger=server_log())``.

    aiohttp logs requests that are no HTTP, and clients that leave in the middle, as errors with a traceback. Anybody
    can send these by the thousand, and would write our log full.
    """
    logger = logging.getLogger(name)
    if _of_us not in logger.filters:
        logger.addFilter(_of_us)
    return logger


def _of_us(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, (HttpProcessingError, ConnectionError))
