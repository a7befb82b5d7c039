"""Runs the steps of a command: prints a line for each, and one sentence where it cannot go on."""

import sys
from collections.abc import Callable, Iterable

from pydantic import ValidationError

from services.common.error_text import error_text
from services.common.secret_files import WrongSetting


def run_steps(steps: Callable[[], Iterable[str]], failure: type[Exception]) -> int:
    """Print each step as it is done and return the exit code; ``failure`` is the command's own error."""
    try:
        for step in steps():
            print(step, flush=True)
    except (ValidationError, WrongSetting) as error:
        print(wrong_settings(error), file=sys.stderr)
        return 1
    except failure as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def wrong_settings(error: ValidationError | WrongSetting) -> str:
    """Return one sentence with the invalid settings, without their values, which may be secret."""
    if isinstance(error, WrongSetting):
        return error_text(error)
    faults = (f"{'.'.join(map(str, fault['loc'])).upper()}: {fault['msg']}" for fault in error.errors())
    return f"A setting is wrong: {'; '.join(faults)}."
