"""What surrounds every route, in one list: a request meets it from the top, its answer from the bottom."""

from aiohttp import web
from aiohttp.typedefs import Middleware

from services.front.bodies import drain_unread_body, refuse_encoded
from services.front.checks import add_headers_to_all, checking
from services.gateway.edge.authenticator import Authenticator
from services.gateway.edge.entrance import Entrance
from services.gateway.http.accept import check_accept
from services.gateway.http.compression import compress
from services.gateway.http.entrance import check_entrance
from services.gateway.http.errors import answer_errors
from services.gateway.http.headers import add_security_headers
from services.gateway.http.identity import identify_at
from services.gateway.http.limits import RequestLimits, add_rate_limit_headers
from services.gateway.http.methods import answer_options
from services.gateway.http.request_deadline import RequestDeadline


def surround(
    app: web.Application,
    entrance: Entrance,
    request_deadline: RequestDeadline,
    limits: RequestLimits,
    *,
    time_request: Middleware,
    authenticator: Authenticator | None = None,
) -> None:
    """Add the middlewares, and the headers of every response; without ``authenticator``, clients are not identified."""
    app.middlewares.extend([
        # An early answer reaches its client: it is sent before the rest of the body is read, and so before the close.
        drain_unread_body,
        # Errors are compressed, too, as soon as they are large enough.
        compress,
        # The duration and the status of an answer as its client gets it, which is why errors are answered below.
        time_request,
        # Every exception from here on becomes an answer.
        answer_errors,
        checking(
            # First, as it is cheaper than anything that could be done with such a body.
            refuse_encoded,
            # Host and origin; and preflights, which have no credentials.
            check_entrance(entrance),
        ),
        # From here on the clock of the request runs: identifying the client counts.
        request_deadline.limit,
        # Before the quota, which is that of the principal. Failed attempts are charged to their address.
        *([] if authenticator is None else [identify_at(authenticator, entrance, limits.require)]),
        checking(
            # Before any work is done for a client that is over its quota.
            limits.check,
            # These need the route, and tell what exists there: only clients that were let in may know.
            answer_options,
            check_accept,
        ),
    ])  # fmt: skip
    add_headers_to_all(
        app,
        add_security_headers,
        entrance.origins.add_headers,
        add_rate_limit_headers,
        request_deadline.add_server_timing,
    )
