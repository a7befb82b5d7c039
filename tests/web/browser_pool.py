"""Browsers that one test after the other uses: a start of Chromium takes longer than most tests of the page."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from selenium.webdriver import Chrome

from tests.web.browser import DESKTOP, Page, Screen, chromium, prepare

# The most that a test of ours looks at at once.
_KEPT = 2


class BrowserPool:
    """Gives each page a tab of its own in a browser that no longer knows anything of those before."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started = 0
        self._idle: list[tuple[Chrome, ExitStack]] = []

    @contextmanager
    def page(self, screen: Screen, *, dark: bool = False, reduced_motion: bool = False) -> Iterator[Page]:
        """Yield an empty page; keep the browser unless something fails."""
        driver, end = self._idle.pop() if self._idle else self._start()
        with ExitStack() as unless_kept:
            unless_kept.push(end)
            prepare(driver, screen, dark=dark, reduced_motion=reduced_motion)
            yield Page(driver)
            _forget(driver)
            if len(self._idle) < _KEPT and Page(driver).draws_frames:
                unless_kept.pop_all()
                self._idle.append((driver, end))

    def _start(self) -> tuple[Chrome, ExitStack]:
        self._started += 1
        end = ExitStack()
        driver = end.enter_context(chromium(self._folder / f"chromium-{self._started}", DESKTOP))
        _open_only_tab(driver)  # it has prepared the first one
        return driver, end

    def close(self) -> None:
        for _, end in self._idle:
            end.close()


def _open_only_tab(driver: Chrome) -> None:
    """Open a new tab and close all others: what a test has one do, such as to block an address, ends with it.

    A page that stayed would go on, and look for its gateway for ever.
    """
    driver.switch_to.new_window("tab")
    here = driver.current_window_handle
    for other in driver.window_handles:
        if other != here:  # by the browser: one that has crashed cannot be switched to
            driver.execute_cdp_cmd("Target.closeTarget", {"targetId": other})


def _forget(driver: Chrome) -> None:
    """Remove what outlives a tab: cookies, what was cached, and what the origin has stored."""
    origin = driver.execute_script("return location.origin")
    _open_only_tab(driver)
    for command in ("Network.clearBrowserCookies", "Network.clearBrowserCache"):
        driver.execute_cdp_cmd(command, {})
    if origin != "null":
        driver.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "all"})
