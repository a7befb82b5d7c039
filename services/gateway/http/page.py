"""Serves the web page, the client library and the Socket.IO client for browsers."""

from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from services.common.error_text import error_text
from services.gateway.http.codings import Coding, chosen
from services.gateway.http.page_bundle import ASSETS, Asset, Bundle, bundle
from services.gateway.http.page_modules import UnknownForm

log = structlog.get_logger()

CLIENT_FILE = "socket.io.esm.min.js"
_BUNDLES = ("socket.io.js", "socket.io.min.js", "socket.io.msgpack.min.js", CLIENT_FILE)
CLIENT_FILES = (*_BUNDLES, *(f"{name}.map" for name in _BUNDLES))

CLIENT_ADDRESS = f"/vendor/{CLIENT_FILE}"
# The address for others, and the one at which the page's modules find it where each is served by itself.
LIBRARIES = ("/clients/live-orders", "/clients/js/src")

_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".map": "application/json",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".webmanifest": "application/manifest+json",
}
_FOR_EVER = "public, max-age=31536000, immutable"
_HEADERS = {
    # Revalidate every time: unchanged files answer 304 by their ETag, and a new release is seen at the next load.
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
}


@cache
def web_page(web_folder: Path, client_folder: Path, library_folder: Path) -> "WebPage":
    """Return the page of these folders, which a process reads once, for all gateways in it and in its forks."""
    return WebPage(web_folder, client_folder, library_folder)


class WebPage:
    """The page at `/`, put together from the web folder at the start, and each file under its own name too.

    The modules of the client library are there, too, for other pages of the same origin. The set of files is
    fixed at the start: no request names a path on disk, so none can escape the folders.
    """

    def __init__(self, web_folder: Path, client_folder: Path, library_folder: Path) -> None:
        self._web_folder = web_folder
        self._client_folder = client_folder
        self._library_folder = library_folder
        self._bundle = _bundle(web_folder, client_folder / CLIENT_FILE, library_folder)
        self._routes = self._all_routes()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, ready for ``app.add_routes``."""
        return self._routes

    def _all_routes(self) -> list[web.RouteDef]:
        files = dict(_files(self._web_folder))
        index = _serve(self._web_folder / "index.html") if self._bundle is None else _serve_index(self._bundle.index)
        routes = [
            web.get(f"/{name}", index if name == "index.html" else _serve(path)) for name, path in sorted(files.items())
        ]
        if self._bundle is not None:
            routes.append(web.get(f"{ASSETS}/{{name}}", _serve_assets(self._bundle)))
        # The URL at which every Socket.IO server offers its client, and the page's own.
        clients = [web.get(f"/socket.io/{name}", _serve_client(self._client_folder / name)) for name in CLIENT_FILES]
        vendor = web.get(CLIENT_ADDRESS, _serve_client(self._client_folder / CLIENT_FILE))
        modules = [(name, path) for name, path in sorted(_files(self._library_folder)) if path.suffix == ".js"]
        library = [web.get(f"{at}/{name}", _serve(path)) for at in LIBRARIES for name, path in modules]
        return [web.get("/", index), *routes, *library, *clients, vendor]


def _bundle(web_folder: Path, client_file: Path, library_folder: Path) -> Bundle | None:
    try:
        return bundle(web_folder, client_file, CLIENT_ADDRESS, library_folder)
    except (UnknownForm, OSError, UnicodeDecodeError) as error:
        log.info("Cannot bundle the page, serving its files one by one", reason=error_text(error))
        return None


def _serve_index(index: Asset) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        headers = {**_HEADERS, "ETag": f'"{index.digest}"', "Vary": "Accept-Encoding"}
        if any(tag.value in {index.digest, "*"} for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        return _answer(request, index, headers)

    return answer


def _serve_assets(of: Bundle) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        found = of.at(request.match_info["name"])
        if found is None:
            raise web.HTTPNotFound
        asset, named = found
        headers = {**_HEADERS, "Cache-Control": _FOR_EVER if named else "no-store", "Vary": "Accept-Encoding"}
        return _answer(request, asset, headers)

    return answer


def _answer(request: web.Request, asset: Asset, headers: dict[str, str]) -> web.Response:
    kind = f"{_TYPES[Path(asset.name).suffix]}; charset=utf-8"
    headers = {**headers, "Content-Type": kind}
    coding = chosen(request.headers.getall(hdrs.ACCEPT_ENCODING, ()), among=(Coding.GZIP,))
    if coding is None:
        return web.Response(body=asset.body, headers=headers)
    return web.Response(body=asset.compressed, headers={**headers, "Content-Encoding": coding})


def _serve(path: Path) -> Handler:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.FileResponse(path, headers={**_HEADERS, "Content-Type": f"{_TYPES[path.suffix]}; charset=utf-8"})

    return answer


def _serve_client(path: Path) -> Handler:
    serve = _serve(path)

    async def answer(request: web.Request) -> web.StreamResponse:
        with suppress(web.HTTPNotFound):
            return await serve(request)
        # So it is before `make setup`; the page then falls back to SSE.
        text = f"{path.name} is not installed here: the folder in CLIENT_DIR does not contain it.\n"
        return web.Response(status=404, text=text, headers={"Cache-Control": "no-store"})

    return answer


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    whole = folder.resolve()
    for path in folder.rglob("*"):
        if path.suffix not in _TYPES:
            continue
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") or part == "node_modules" for part in name.parts)
        if not hidden and path.is_file() and path.resolve().is_relative_to(whole):
            yield name.as_posix(), path
