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
            # What a test has a tab do, such as to block an address, ends with the tab.
            old = driver.current_window_handle
            driver.switch_to.new_window("tab")
            new = driver.current_window_handle
            driver.switch_to.window(old)
            driver.close()
            driver.switch_to.window(new)
            prepare(driver, screen, dark=dark, reduced_motion=reduced_motion)
            yield Page(driver)
            _forget(driver)
            if len(self._idle) < _KEPT:
                unless_kept.pop_all()
                self._idle.append((driver, end))

    def _start(self) -> tuple[Chrome, ExitStack]:
        self._started += 1
        end = ExitStack()
        return end.enter_context(chromium(self._folder / f"chromium-{self._started}", DESKTOP)), end

    def close(self) -> None:
        for _, end in self._idle:
            end.close()


def _forget(driver: Chrome) -> None:
    """Remove what outlives a tab: cookies, what was cached, and what the origin has stored."""
    origin = driver.execute_script("return location.origin")
    driver.get("about:blank")
    for command in ("Network.clearBrowserCookies", "Network.clearBrowserCache"):
        driver.execute_cdp_cmd(command, {})
    if origin != "null":
        driver.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "all"})
