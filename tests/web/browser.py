"""A real Chromium, and the page in it as a person sees it."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

PATIENCE = 45.0  # beside other work; what is there is seen at once
T = TypeVar("T")

# The engine without the user interface, which takes a third of the CPU.
_HEADLESS_SHELL = Path(__file__).with_name("headless-shell")
# --no-sandbox: Chromium refuses its sandbox to root. The rest keeps it from the network and from asking questions.
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# A flash is over in a second: the page itself records flashes, from its first moment on.
_NOTE_FLASHES = """
  window.flashes = [];
  const note = (row) => {
    const [, flash] = /\\bflash-(\\w+)/.exec(row.className) ?? [];
    if (flash) window.flashes.push(`${flash} ${row.dataset.id}`);
  };
  new MutationObserver((changes) => {
    for (const { type, target, addedNodes } of changes) {
      for (const element of type === "childList" ? addedNodes : [target]) if (element.matches?.("tr")) note(element);
    }
  }).observe(document, { subtree: true, childList: true, attributeFilter: ["class"] });
"""


# Only rows in view exist: this one looks at all of them, as a user would who scrolls from the top to the end.
_SCROLL_THROUGH = """
  const [step, isInMotion] = arguments;
  const seen = new Map();
  window.scrolledThrough = null;
  window.looks = 0;
  window.everSeen = new Set(); // an order that comes above what is in view changes the places of those above it
  const frame = () => new Promise((go) => requestAnimationFrame(() => setTimeout(go)));
  const text = (row, part) => row.querySelector(part).textContent;
  const [body, sample] = [document.querySelector("#rows"), document.querySelector("#row-height")];
  const look = () => {
    window.looks += 1;
    for (const row of document.querySelectorAll("tbody tr:not([inert])")) {
      window.everSeen.add(row.dataset.id);
      seen.set(Number(row.ariaRowIndex), [
        row.dataset.id, text(row, ".row-customer"), text(row, ".row-product"), text(row, "option:checked"),
      ]);
    }
  };
  (async () => {
    scrollTo(0, 0);
    for (let calm = 0; calm < 3; ) {
      await frame();
      // Rows of this place may be made, or read, a little later: nobody scrolls on without having seen them.
      const [{ top }, height] = [body.getBoundingClientRect(), sample.offsetHeight];
      const places = [-top, Math.min(innerHeight - top, body.offsetHeight) - height].map((y) => Math.ceil(y / height));
      const isThere = (place) => body.querySelector(`[aria-rowindex="${Math.max(0, place) + 2}"]`);
      if (body.rows.length > 0 && !places.every(isThere)) continue;
      const before = seen.size;
      look();
      const atEnd = scrollY + innerHeight >= document.documentElement.scrollHeight - 1;
      // The room for orders that are still to be read, below the last row that there is now.
      const last = Math.max(1, ...[...body.rows].map((row) => Number(row.ariaRowIndex)));
      const more = body.offsetHeight > (last - 1) * sample.offsetHeight + 1;
      // Where orders come faster than frames, each look finds a new one: there the end itself is enough.
      if (atEnd && !more && (isInMotion || seen.size === before)) calm += 1;
      else if (!isInMotion) calm = 0;
      scrollBy({ top: innerHeight * step, behavior: "instant" });
    }
    scrollTo(0, 0);
    await frame();
    await frame();
    window.scrolledThrough = [...seen].sort(([one], [other]) => one - other).map(([, row]) => row);
  })();
"""


_STANDS_AT = """
  const [grid, body] = [document.querySelector("#orders-grid"), document.querySelector("#rows")];
  const there = [...body.rows].map((row) => Number(row.ariaRowIndex));
  const { top, height } = body.getBoundingClientRect();
  const rowHeight = document.querySelector("#row-height").offsetHeight;
  const wanted = [-top, innerHeight - top].map((y) => Math.floor(y / rowHeight) + 2);
  return { wanted, there: [Math.min(...there), Math.max(...there), there.length], height, busy: grid.ariaBusy,
    looks: window.looks, news: document.querySelector("#orders-news").textContent };
"""


_NEXT_FRAME = """
  const [done] = arguments;
  requestAnimationFrame(() => done(true));
  setTimeout(() => done(false), 10_000);
"""


class Screen(NamedTuple):
    """Width and height in CSS pixels."""

    width: int
    height: int


DESKTOP = Screen(1360, 900)
PHONE = Screen(390, 844)


class BrowserStalled(AssertionError):
    """The browser draws no frames any more, whatever page it shows: nothing can be said of the page."""


class Row(NamedTuple):
    """An order as the table shows it."""

    id: str
    customer: str
    product: str
    status: str


class Page:
    """The page as a user sees and uses it. Each method waits for the elements that it needs, for a bounded time."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def until(self, seen: Callable[[], T | None], what: str = "") -> T:
        """Return the first true value of `seen`; fail with its last value."""
        try:
            return WebDriverWait(self.driver, PATIENCE, poll_frequency=0.05).until(lambda _: seen() or False)
        except Exception as error:
            kind = AssertionError if self.draws_frames else BrowserStalled
            raise kind(f"not seen in time: {what}; last was {seen()!r}") from error

    @property
    def draws_frames(self) -> bool:
        """Whether the browser draws frames, be it slowly."""
        try:
            return bool(self.driver.execute_async_script(_NEXT_FRAME))
        except WebDriverException:  # not even a script runs
            return False

    def until_customers(self, *customers: str) -> None:
        """Wait until the rows in view are of these, from top to bottom."""
        try:
            self.until(lambda: [row.customer for row in self.rows] == [*customers])
        except AssertionError as error:
            raise AssertionError(f"{self.connection}: {self.rows}, not {customers}; its log: {self.log}") from error

    def until_live(self, transport: str = "WebSocket") -> None:
        self.until(lambda: self.connection == f"live {transport}", f"live by {transport}, not {self.connection}")

    @property
    def connection(self) -> str:
        """The indicator's state and transport."""
        data: dict[str, str] = self.run("return {...document.getElementById('indicator').dataset}")
        return f"{data['state']} {data['transport']}"

    @property
    def rows(self) -> list[Row]:
        """The orders whose rows exist (those in view) from top to bottom, without those that are just leaving."""
        found = self.run(
            """
            const text = (row, part) => row.querySelector(part).textContent;
            return [...document.querySelectorAll("tbody tr:not([inert])")].map((row) => [
              row.dataset.id, text(row, ".row-customer"), text(row, ".row-product"), text(row, "option:checked"),
            ]);
            """
        )
        return [Row(*row) for row in found]

    @property
    def all_rows(self) -> list[Row]:
        """All orders from the top to the end of the list, however many there are, while nobody writes."""
        return self._scroll_through(0.95, in_motion=False)

    @property
    def all_rows_in_motion(self) -> list[Row]:
        """The same while others write: every row is in view at least once, also where others come above it."""
        return self._scroll_through(0.6, in_motion=True)

    def _scroll_through(self, step: float, *, in_motion: bool) -> list[Row]:
        """Look at all rows, by so much of the window's height at a time; that may take long, but not stand still."""
        self.run(_SCROLL_THROUGH, step, in_motion)
        looks: int = 0
        rows: list[list[str]] | None = None
        try:
            while rows is None:
                looks, rows = self.until(lambda: self._looked(looks), "rows further down")  # noqa: B023
        except AssertionError as error:
            error.add_note(f"{self.connection}; it stands at {self.run(_STANDS_AT)}; its log: {self.log[:5]}")
            raise
        return [Row(*row) for row in rows]

    def _looked(self, before: int) -> tuple[int, list[list[str]] | None] | None:
        """Return how often the script has looked, and the rows once it is at the end; None if that is no news."""
        looks, rows = self.run("return [window.looks, window.scrolledThrough]")
        return (looks, rows) if looks > before or rows is not None else None

    def row(self, id: str) -> Row | None:
        return next((row for row in self.rows if row.id == id), None)

    @property
    def log(self) -> list[str]:
        """The lines of the activity log, newest first, as "kind title: detail"."""
        lines: list[str] = self.run(
            """
            const text = (entry, part) => entry.querySelector(part)?.textContent ?? "";
            return [...document.querySelectorAll("#activity li")].map((entry) =>
              `${text(entry, ".entry-kind")} ${text(entry, ".entry-title")}: ${text(entry, ".entry-detail")}`);
            """
        )
        return lines

    @property
    def flashes(self) -> list[str]:
        """The flashes since the page was opened, as "operation id"."""
        found: list[str] = self.run("return window.flashes")
        return found

    @property
    def errors(self) -> list[str]:
        """The errors in the browser's console, other than failed requests."""
        entries: list[dict[str, str]] = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE" and entry["source"] != "network"]

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def click(self, selector: str) -> None:
        element = self.find(selector)
        self.until(element.is_enabled, f"{selector} enabled")
        element.click()

    def choose(self, status: str) -> None:
        """Show the orders with this status ("": all), and wait until the page has them and follows them.

        Before that, what is left of those from before may look the same; but what happens to them is not shown.
        """
        self.click(f"#filter [value='{status}']")
        self.until(lambda: self.run("return document.querySelector('#orders-grid').ariaBusy") is None, "the list read")

    def fill_form(self, customer: str, product: str) -> None:
        for field, text in (("customer_name", customer), ("product_name", product)):
            self.find(f"#{field}").clear()
            self.find(f"#{field}").send_keys(text)
        self.click("#compose [type=submit]")

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)


@contextmanager
def chromium(
    profile: Path, screen: Screen, *, dark: bool = False, reduced_motion: bool = False, more: Sequence[str] = ()
) -> Iterator[Chrome]:
    """Run the system's Chromium, as its headless shell, with a profile of its own, and ``more`` arguments."""
    driver = shutil.which("chromedriver")
    if driver is None or shutil.which("chromium-headless-shell") is None:
        pytest.fail("The tests of the page need Chromium: apt-get install chromium-headless-shell chromium-driver")
    options = ChromeOptions()
    options.binary_location = str(_HEADLESS_SHELL)
    window = f"--window-size={screen.width},{screen.height}"
    for argument in [*_ARGUMENTS, f"--user-data-dir={profile}", window, *more]:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = Chrome(options=options, service=Service(driver))
    try:
        prepare(browser, screen, dark=dark, reduced_motion=reduced_motion)
        yield browser
    finally:
        browser.quit()


def prepare(browser: Chrome, screen: Screen, *, dark: bool, reduced_motion: bool) -> None:
    """Have the current tab, which is new, look like this to its pages, and note their flashes."""
    metrics = {"width": screen.width, "height": screen.height, "deviceScaleFactor": 1, "mobile": screen == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [
        {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
        {"name": "prefers-reduced-motion", "value": "reduce" if reduced_motion else "no-preference"},
    ]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    # A window has the focus when a person looks at it; which of several has it here would be left to chance.
    browser.execute_cdp_cmd("Emulation.setFocusEmulationEnabled", {"enabled": True})
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _NOTE_FLASHES})
