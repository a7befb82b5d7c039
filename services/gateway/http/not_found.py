"""The page for addresses outside of the API where there is nothing."""

from aiohttp import hdrs, web

from services.gateway.http.page_style import POLICY, STYLE
from services.gateway.http.paths import DOCS

_PAGE = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Not found</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>{STYLE}</style>
<h1>There is nothing at this address</h1>
<p>There are <a href="/">the orders</a>, and <a href="{DOCS}">the description of the API</a>.</p>
</html>
""".encode()


def not_found_page() -> web.Response:
    """Return the page."""
    headers = {hdrs.CACHE_CONTROL: "no-store", "Content-Security-Policy": POLICY}
    return web.Response(status=404, body=_PAGE, content_type="text/html", charset="utf-8", headers=headers)
