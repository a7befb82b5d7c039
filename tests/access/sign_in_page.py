"""The page as somebody sees it who signs in and out."""

from typing import Any

from tests.web.browser import Page


class SignInPage(Page):
    """The page with what it shows of sign-in."""

    def shown(self, selector: str) -> bool:
        script = "return [...document.querySelectorAll(arguments[0])].some((one) => one.checkVisibility())"
        return bool(self.run(script, selector))

    @property
    def why(self) -> str:
        """Why nobody is signed in; empty where somebody is."""
        return str(self.run("return document.querySelector('.sign-in:not([hidden]) .sign-in-why')?.textContent ?? ''"))

    def sign_in(self, url: str, provider: str, who: str) -> None:
        """Sign in on the page at this address, which is open, at the provider at that one."""
        self.until(lambda: self.shown(".sign-in-go"), "the way to sign in")
        self.click(".sign-in-go")
        self.until(lambda: self.run("return location.href").startswith(provider), "the provider")
        self.click(f"button[value={who}]")
        self.until(lambda: self.run("return location.href") == f"{url}/", "the page again")
        self.until_live()

    @property
    def cookies(self) -> dict[str, dict[str, Any]]:
        """All cookies that the browser keeps, by name, with their attributes."""
        found = self.driver.execute_cdp_cmd("Network.getAllCookies", {})["cookies"]
        return {cookie["name"]: cookie for cookie in found}

    def asked(self, part: str) -> list[str]:
        """Return the addresses with this part that the page has asked for."""
        script = "return performance.getEntriesByType('resource').map((each) => each.name)"
        return [each for each in self.run(script) if part in each]
