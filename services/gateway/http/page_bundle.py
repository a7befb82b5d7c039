"""Puts the page together for browsers: few files, compressed once, at addresses that name their content."""

import gzip
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from services.gateway.http.page_modules import UnknownForm, joined

ASSETS = "/assets"
LIBRARY = "../clients/js/src/"  # seen from the page's folder
_STYLESHEET = re.compile(r'[ \t]*<link rel="stylesheet" href="(?P<path>[^":]+)" ?/?>\n?')
_SCRIPT = re.compile(r'<script type="module" src="(?P<path>[^":]+)"></script>')
_ICON = re.compile(r'(?P<attribute>href|src)="(?P<path>[^":/]+\.svg)"')
_CSS_COMMENT = re.compile(r"/\*.*?\*/\s*", re.DOTALL)
_SOURCE_MAP = re.compile(rb"//# sourceMappingURL=.*\s*$")
_NAME = re.compile(r"(?P<stem>.+)-[0-9a-f]{16}(?P<suffix>\.\w+)")


@dataclass(frozen=True)
class Asset:
    """A file in memory: as it is, and compressed."""

    name: str
    body: bytes
    compressed: bytes
    digest: str

    @property
    def address(self) -> str:
        """Where it is served: another content has another address."""
        stem, _, suffix = self.name.rpartition(".")
        return f"{ASSETS}/{stem}-{self.digest}.{suffix}"


class Bundle:
    """The page as browsers load it. `index` refers to the other files by their addresses."""

    def __init__(self, index: Asset, others: list[Asset]) -> None:
        self.index = index
        self._others = {asset.name: asset for asset in others}

    def at(self, address: str) -> tuple[Asset, bool] | None:
        """Return the file that this address, without its folder, names, and whether it is the content that it names.

        While replicas are being replaced, the page of one may ask another for its files: it gets those of that one,
        which fit as well as they do without such addresses, but must not be kept under this one.
        """
        name = _NAME.fullmatch(address)
        asset = self._others.get(f"{name['stem']}{name['suffix']}") if name else None
        return None if asset is None else (asset, asset.address == f"{ASSETS}/{address}")


def bundle(web_folder: Path, client_file: Path, client_address: str, library_folder: Path) -> Bundle:
    """Return the page of a folder; ``client_address`` is what its script imports the Socket.IO client by.

    Its modules may import those of the client library, by where that is in the checkout (``LIBRARY``). Raises
    ``UnknownForm`` and ``OSError`` if that page is not written as ours is: it is then served file by file.
    """

    web_folder, library_folder = web_folder.resolve(), library_folder.resolve()

    def text_of(name: str) -> str:
        folder, name = (library_folder, name.removeprefix(LIBRARY)) if name.startswith(LIBRARY) else (web_folder, name)
        path = (folder / name).resolve()
        if not path.is_relative_to(folder):
            raise UnknownForm(f"{name} is outside of the page's folder")
        return path.read_text("utf-8")

    index = text_of("index.html")
    icons = {name: asset(name, text_of(name).encode()) for name in {match["path"] for match in _ICON.finditer(index)}}
    style = asset("page.css", "".join(_styles(index, text_of)).encode())
    script_tag = _SCRIPT.search(index)
    if script_tag is None or not style.body:
        raise UnknownForm("index.html has no style sheet, or no module")
    script = joined(script_tag["path"], text_of)
    head = [f'<link rel="stylesheet" href="{style.address}" />']
    client = _client(client_file)
    if client is not None:
        script = script.replace(f'"{client_address}"', f'"{client.address}"')
        # Needed only after the first list: it must not compete with that.
        head.append(f'<link rel="modulepreload" href="{client.address}" fetchpriority="low" />')
    app = asset("page.js", script.encode())
    head.insert(0, f'<link rel="modulepreload" href="{app.address}" />')
    index = _SCRIPT.sub(f'<script type="module" src="{app.address}"></script>', index)
    first = _STYLESHEET.search(index)
    place = first.start() if first else 0
    links = "".join(f"    {link}\n" for link in head)
    index = f"{index[:place]}{links}{_STYLESHEET.sub('', index[place:])}"
    index = _ICON.sub(lambda match: f'{match["attribute"]}="{icons[match["path"]].address}"', index)
    others = [app, style, *icons.values(), *([client] if client else [])]
    return Bundle(asset("index.html", index.encode()), others)


def asset(name: str, body: bytes) -> Asset:
    """Compress a file."""
    return Asset(name, body, gzip.compress(body, 9, mtime=0), hashlib.sha256(body).hexdigest()[:16])


def _styles(index: str, text_of: Callable[[str], str]) -> Iterator[str]:
    for match in _STYLESHEET.finditer(index):
        text = _CSS_COMMENT.sub("", text_of(match["path"]))
        if "url(" in text or "@import" in text:
            raise UnknownForm(f"{match['path']} refers to other files, from where it is")
        yield text


def _client(path: Path) -> Asset | None:
    try:
        return asset(path.name, _SOURCE_MAP.sub(b"", path.read_bytes()))
    except OSError:
        return None  # not installed: the page follows by SSE
