"""The page that says why a sign-in did not work, and what can be done."""

from html import escape
from urllib.parse import quote

from aiohttp import hdrs, web

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Sign-in failed</title>
<link rel="stylesheet" href="/style.css">
<link rel="stylesheet" href="/controls.css">
<link rel="stylesheet" href="/identity.css">
<main>
<section class="card sign-in">
<h1>Sign-in failed</h1>
<p>{reason}</p>
<p><a class="button button-primary sign-in-go" href="/auth/sign-in?to={to}">Try again</a></p>
<p><a href="/">Go to the orders</a></p>
</section>
</main>
</html>
"""
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def error_page(status: int, reason: str, to: str = "/", *, retry_after: int | None = None) -> web.Response:
    """Return the page with this sentence; ``to`` is the path that trying again returns to."""
    headers = {hdrs.CACHE_CONTROL: "no-store", "Content-Security-Policy": _POLICY}
    if retry_after is not None:
        headers[hdrs.RETRY_AFTER] = str(retry_after)
    text = _PAGE.format(reason=escape(reason), to=quote(to, safe=""))
    return web.Response(status=status, text=text, content_type="text/html", headers=headers)
