"""Runs the watcher: `python -m services.watcher`."""

from services.common.process import run_service
from services.watcher.app import run
from services.watcher.settings import WatcherSettings


def main() -> None:
    """Run until a signal stops it."""
    run_service("watcher", WatcherSettings, run)


if __name__ == "__main__":
    main()
