"""Opens a Redis client from a URL: one server, the primary named by Sentinel, or a cluster, each with or without TLS.

    redis://user:password@host:6379/0                          one server
    redis+sentinel://user:password@host1,host2:26379/mymaster  the primary of `mymaster`, asking the Sentinels in turn
    redis+cluster://user:password@host1:7000,host2             a cluster, by some of its nodes

and `rediss`, `rediss+sentinel`, `rediss+cluster` for the same over TLS. The query takes redis-py's options
(`?ssl_ca_certs=/etc/ca.pem`), and `sentinel_username` and `sentinel_password` for Sentinels with credentials of their
own.

All our keys share one slot, so for us a cluster is one server that may move, as is Sentinel's primary. Both are handled
the same way: each new connection looks up where that server is now, and an error that says it has moved closes the
connection. Checked against redis 8: a connection is opened by ``connect`` at its ``host`` and ``port``, and every reply
comes by ``read_response``.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection
from redis.asyncio.connection import parse_url
from redis.crc import key_slot
from redis.exceptions import ClusterDownError, ConnectionError, MovedError, ReadOnlyError, RedisError  # noqa: A004

from services.common.error_text import error_text
from services.common.secret_files import unusable_uri

_PORTS = {"sentinel": 26379, "cluster": 6379}
_QUESTION_SECONDS = 2.0
# Errors of a server that is no longer, or not yet, the primary.
_MOVED = (MovedError, ReadOnlyError, ClusterDownError)


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int


Locate = Callable[[], Awaitable[Address]]


def redis_client(url: str, key: str, **options: Any) -> Redis:
    """Return a client for the server that holds ``key``, not connected yet. Raise WrongSetting for an invalid URL."""
    try:
        return _redis_client(url, key, options)
    except ValueError as error:
        raise unusable_uri("REDIS_URL", url, error) from None


def _redis_client(url: str, key: str, options: dict[str, Any]) -> Redis:
    scheme = urlsplit(url).scheme
    plain, _, kind = scheme.partition("+")
    if not kind:
        return Redis.from_url(url, **options)
    seeds, database, simple, sentinel = _split_url(url, plain, _PORTS[kind])
    known = {**parse_url(simple), **options}
    secure = known.pop("connection_class", Connection) is SSLConnection
    for place in ("host", "port"):
        known.pop(place, None)
    ask = _Seeds(seeds, {**known, "socket_timeout": _QUESTION_SECONDS, "ssl": secure})
    if kind == "sentinel":
        where = ask.of_primary(database or "mymaster", sentinel)
    else:
        where = ask.of_slot(key_slot(key.encode()))
    pool = ConnectionPool(
        connection_class=_SecureMovingConnection if secure else MovingConnection, where=where, **known
    )
    return Redis.from_pool(pool)


def _split_url(url: str, plain: str, port: int) -> tuple[list[Address], str, str, dict[str, str]]:
    """Return the seeds, the first part of the path, the URL of one server, and the credentials for Sentinels."""
    parsed = urlsplit(url)
    user, at, hosts = parsed.netloc.rpartition("@")
    seeds = [_address(host, port) for host in hosts.split(",")]
    name, _, database = parsed.path.lstrip("/").partition("/")
    query = dict(parse_qsl(parsed.query))
    sentinel = {what: query.pop(f"sentinel_{what}", "") for what in ("username", "password")}
    simple = f"{plain}://{user}{at}{seeds[0].host}/{database}?{urlencode(query)}"
    return seeds, name, simple, {what: value for what, value in sentinel.items() if value}


def _address(text: str, port: int) -> Address:
    host, separator, number = text.rpartition(":")
    if separator and number.isdigit():
        return Address(host.strip("[]"), int(number))
    if not text:
        raise ValueError("a host is missing")
    return Address(text.strip("[]"), port)


class _Seeds:
    """Servers that know where the primary is; the first reply counts."""

    def __init__(self, seeds: Sequence[Address], options: dict[str, Any]) -> None:
        self._seeds = seeds
        self._options = options

    def of_primary(self, name: str, credentials: dict[str, str]) -> Locate:
        """Ask Sentinels for the primary of this name."""
        # Sentinels have their own users, not those of the servers that they watch.
        options = {**self._options, "username": None, "password": None, "db": 0, **credentials}

        async def where() -> Address:
            reply, _ = await self._ask(options, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", name)
            if reply is None:
                raise ConnectionError(f"Sentinel knows no primary named {name}")
            return Address(_text(reply[0]), int(reply[1]))

        return where

    def of_slot(self, slot: int) -> Locate:
        """Ask nodes of a cluster for the primary of this slot."""

        async def where() -> Address:
            ranges, seed = await self._ask(self._options, "CLUSTER", "SLOTS")
            for first, last, primary, *_replicas in ranges:
                if first <= slot <= last:
                    # A node that does not know its own address leaves it empty: it is the one that replied.
                    return Address(_text(primary[0]) or seed.host, int(primary[1]))
            raise ConnectionError(f"no node of the cluster serves slot {slot}")

        return where

    async def _ask(self, options: dict[str, Any], *command: str) -> tuple[Any, Address]:
        failure = "there is none"
        for seed in self._seeds:
            try:
                async with aclosing(Redis(host=seed.host, port=seed.port, **options)) as client:
                    return await client.execute_command(*command), seed  # type: ignore[no-untyped-call]
            except (RedisError, OSError) as error:
                failure = f"{seed.host}:{seed.port}: {error_text(error)}"
        raise ConnectionError(f"no server says where the primary is ({failure})")


class MovingConnection(Connection):
    """A connection to a server that may have moved before the next connect."""

    def __init__(self, *, where: Locate, **options: Any) -> None:
        super().__init__(**options)
        self._where = where

    async def locate(self) -> None:
        """Look up where the server is now, and set ``host`` and ``port``."""
        self.host, self.port = await self._where()

    async def connect(self) -> None:
        """Look up the server, then connect to it."""
        if not self.is_connected:
            await self.locate()
        await super().connect()  # type: ignore[no-untyped-call]

    async def read_response(self, *args: Any, **options: Any) -> Any:
        """Read a reply; an error that says the server has moved closes this connection."""
        try:
            return await super().read_response(*args, **options)
        except _MOVED as error:
            await self.disconnect()
            raise ConnectionError(f"the primary has moved: {error_text(error)}") from error


class _SecureMovingConnection(MovingConnection, SSLConnection):
    """The same over TLS."""


def _text(value: bytes | str | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""
