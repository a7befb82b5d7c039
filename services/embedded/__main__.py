"""Runs the whole stack: `python -m services.embedded`, as `make run` does."""

import asyncio
import signal
import sys

from pydantic import ValidationError

from services.common.error_text import error_text
from services.common.settings import WrongSetting
from services.embedded.app import run
from services.embedded.errors import EmbeddedError
from services.embedded.settings import EmbeddedSettings
from services.embedded.terminal import Terminal

_STOP_SIGNALS = [signal.SIGINT, signal.SIGTERM]
if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # `nohup` ignores it: then we must outlive the terminal
    _STOP_SIGNALS.append(signal.SIGHUP)


def main() -> int:
    """Run until Ctrl-C or SIGTERM and return 0; return 1 if something cannot be started."""
    try:
        settings = EmbeddedSettings()
    except ValidationError as error:
        for fault in error.errors():
            print(f"{'.'.join(map(str, fault['loc'])).upper()}: {fault['msg']}", file=sys.stderr)
        return 1
    except WrongSetting as error:
        print(error, file=sys.stderr)
        return 1
    return asyncio.run(_until_signalled(settings, Terminal(sys.stdout)))


async def _until_signalled(settings: EmbeddedSettings, terminal: Terminal) -> int:
    loop = asyncio.get_running_loop()
    work = asyncio.create_task(run(settings, terminal))

    def stop() -> None:
        terminal.say("run", "Stopping")
        for number in _STOP_SIGNALS:  # a second Ctrl-C ends us at once, and the kernel ends the children
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        work.cancel()

    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        await work
    except asyncio.CancelledError:
        terminal.say("run", "Stopped")
        return 0
    except EmbeddedError as error:
        terminal.say("run", error_text(error))
    return 1


if __name__ == "__main__":
    sys.exit(main())
