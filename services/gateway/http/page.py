"""Serves the web page and the Socket.IO client for browsers."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

CLIENT_FILE = "socket.io.esm.min.js"
_BUNDLES = ("socket.io.js", "socket.io.min.js", "socket.io.msgpack.min.js", CLIENT_FILE)
CLIENT_FILES = (*_BUNDLES, *(f"{bundle}.map" for bundle in _BUNDLES))

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
_HEADERS = {
    # Revalidate every time: unchanged files answer 304 by their ETag, and a new release is seen at the next load.
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
}


class WebPage:
    """The files of the web folder, each under its own name, `index.html` also at `/`.

    The set of files is fixed at the start: no request names a path on disk, so none can escape the folder.
    """

    def __init__(self, web_folder: Path, client_folder: Path) -> None:
        self._web_folder = web_folder
        self._client_folder = client_folder

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, ready for ``app.add_routes``."""
        routes = [web.get(f"/{name}", _serve(path)) for name, path in sorted(_files(self._web_folder))]
        index = self._web_folder / "index.html"
        # The URL at which every Socket.IO server offers its client, and the page's own.
        clients = [web.get(f"/socket.io/{name}", _serve_client(self._client_folder / name)) for name in CLIENT_FILES]
        vendor = web.get(f"/vendor/{CLIENT_FILE}", _serve_client(self._client_folder / CLIENT_FILE))
        return [web.get("/", _serve(index)), *routes, *clients, vendor]


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
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") or part == "node_modules" for part in name.parts)
        inside = path.resolve().is_relative_to(folder.resolve())
        if path.suffix in _TYPES and path.is_file() and inside and not hidden:
            yield name.as_posix(), path
