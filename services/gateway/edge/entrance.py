"""Decides whether a request is let in: it must ask for a host of ours, and come from an allowed origin."""

from typing import NamedTuple

import structlog
from aiohttp import hdrs

from services.common.authority import Authority, Hosts
from services.gateway.edge.incidents import Count, IncidentKind, count_nothing
from services.gateway.edge.log_throttle import LogThrottle
from services.gateway.edge.origin import OriginPolicy
from services.gateway.edge.peer import Peers
from services.gateway.edge.principal import Credentials
from services.gateway.edge.request import Request

log = structlog.get_logger("clients")


class EntranceRefusal(NamedTuple):
    """Why a request is not let in."""

    status: int
    detail: str
    incident: IncidentKind


_NO_HOST = EntranceRefusal(400, "The Host header is missing, duplicated or invalid.", IncidentKind.BAD_REQUEST)
_UNKNOWN_HOST = EntranceRefusal(421, "This server does not serve this host.", IncidentKind.HOST_REFUSED)
_FOREIGN_ORIGIN = EntranceRefusal(403, "Origin not allowed", IncidentKind.ORIGIN_REFUSED)


class Entrance:
    """The check that all transports share; without arguments it allows any host, and its own pages only."""

    def __init__(
        self,
        hosts: Hosts | None = None,
        origins: OriginPolicy | None = None,
        peers: Peers | None = None,
        count: Count = count_nothing,
    ) -> None:
        self._hosts = hosts or Hosts(("*",))
        self.origins = origins or OriginPolicy()
        self.peers = peers or Peers()
        self._count = count
        self._throttles = {refusal.incident: LogThrottle() for refusal in (_NO_HOST, _UNKNOWN_HOST, _FOREIGN_ORIGIN)}

    def admits(self, request: Request) -> bool:
        """Tell whether the request is let in; nothing is counted, because `refuse` is called next."""
        return self._check(request, None) is None

    def refuse(self, request: Request, target: str | None = None) -> EntranceRefusal | None:
        """Return why the request is not let in and count it, else None.

        `target`: the host in the request line itself, if there is one.
        """
        refusal = self._check(request, target)
        if refusal is not None:
            self._count(refusal.incident)
            unlogged = self._throttles[refusal.incident].passes()  # anyone can cause thousands of these
            if unlogged is not None:
                self._log(refusal, request, unlogged)
        return refusal

    def credentials(self, request: Request) -> Credentials:
        """Return what the request says of who makes it."""
        return Credentials.of(request, self.peers.scheme(request))

    def _log(self, refusal: EntranceRefusal, request: Request, unlogged: int) -> None:
        host, origin = (request.headers.get(name, "")[:100] for name in (hdrs.HOST, hdrs.ORIGIN))
        fields = {"host": host, "address": self.peers.address(request), "unlogged_before": unlogged}
        if refusal is _UNKNOWN_HOST:
            log.warning("Refused a request for another host; if it is ours, add it to ALLOWED_HOSTS", **fields)
        elif refusal is _FOREIGN_ORIGIN:
            log.warning(
                "Refused a page of another origin; if it is ours, add it to CORS_ORIGINS", origin=origin, **fields
            )
        else:
            log.info("Refused a request without a valid Host header", **fields)

    def _check(self, request: Request, target: str | None) -> EntranceRefusal | None:
        named = request.headers.getall(hdrs.HOST, [])
        if not named and request.version < (1, 1):  # HTTP/1.0 has no Host; browsers, and so pages, do not use it
            named = ["localhost"]
        hosts = list(map(Authority.parse, named if target is None else [*named, target]))
        if len(named) != 1 or None in hosts:
            return _NO_HOST
        for host in hosts:
            if host is not None and not self._hosts.answer_to(host.host):
                return _UNKNOWN_HOST
        return None if self.origins.allows(request, self.peers.scheme(request)) else _FOREIGN_ORIGIN
