"""Runs an application on aiohttp's server with the options that all our servers share.

Checked against aiohttp 3.14: ``handle_error`` answers malformed HTTP with a request of the class given here, for which
``on_response_prepare`` does not run; and a server is called to make its connections' protocols.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from aiohttp import hdrs, web

from services.front.answered_errors import AnsweredErrors
from services.front.bodies import SERVER_OPTIONS


class _Request(web.Request):
    @property
    def http_range(self) -> slice:
        """The requested range; anything but a byte range is ignored (RFC 9110, 14.2), so that everything is sent."""
        try:
            return super().http_range
        except ValueError:
            return slice(None, None, 1)

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        await super()._prepare_hook(response)
        response.headers.pop(hdrs.SERVER, None)  # it reveals the versions of aiohttp and Python


class _Server(web.Server):
    def __call__(self) -> AnsweredErrors:
        return AnsweredErrors(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """An `AppRunner` whose connections decompress no bodies, answer malformed requests, and reveal no versions."""

    def __init__(self, app: web.Application, **options: Any) -> None:
        super().__init__(app, **{**SERVER_OPTIONS, **options})

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        make: Callable[..., web.BaseRequest] = made.request_factory  # the application's
        return _Server(made.request_handler, request_factory=partial(make, _cls=_Request), **self._kwargs)
