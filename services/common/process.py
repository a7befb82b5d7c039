"""Runs a service as a process: settings, logs, event loop, signals, exit code."""

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
import uvloop
from pydantic import ValidationError

from services.common.error_text import error_text
from services.common.logs import configure
from services.common.secret_files import secret_fields
from services.common.settings import CommonSettings, WrongSetting
from services.common.tasks import TaskEnded

S = TypeVar("S", bound=CommonSettings)


def run_service(service: str, settings_class: type[S], run: Callable[[S], Awaitable[None]]) -> None:
    """Run the service until SIGTERM or SIGINT; exit with 2 and a sentence for each wrong setting."""
    try:
        settings = settings_class()
    except ValidationError as error:
        hidden = secret_fields(settings_class)
        for problem in error.errors():
            name = str(problem["loc"][0])  # further parts are a path within the value
            # A URI holds a password, which would stay in the log for ever.
            value = "" if name in hidden else f" (got {problem['input']!r})"
            print(f"{service}: {name.upper()}: {problem['msg']}{value}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except WrongSetting as error:
        print(f"{service}: {error_text(error)}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    configure(settings.log_level, settings.log_format, service)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(runner.run(_until_signalled(service, run(settings))))


async def _until_signalled(service: str, work: Awaitable[None]) -> int:
    """Cancel the work on a signal; if it ends otherwise, the process has failed."""
    log = structlog.get_logger(service)
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        log.info("Stopped")
        return 0
    except WrongSetting as error:
        reason, code = error_text(error), 2
    except OSError as error:  # a port that is taken, most likely
        reason, code = error_text(error), 1
    except TaskEnded as error:
        log.exception("Stopped by an unexpected error", error=error_text(error))
        return 1
    log.error("Cannot start", error=reason)
    return code


def tune_gc() -> None:
    """Keep the garbage collector from pausing the loop; call this once the permanent objects exist.

    There are few cycles, so full runs, which traverse all clients of a gateway or all changes that a watcher has read,
    are rare. Younger objects are checked in small portions, whether they are garbage that a client caused or stay: to
    look at 50,000 of the one took 40 ms, at 200,000 small ones of the other 13 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(2_000, 10, 1_000)
