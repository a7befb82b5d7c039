"""Keeps aiohttp from telling every client its own version and Python's in the header `Server`."""

from collections.abc import Callable
from functools import partial

from aiohttp import hdrs, web


class _Request(web.Request):
    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        await super()._prepare_hook(response)
        response.headers.pop(hdrs.SERVER, None)


def hide_versions(runner: web.AppRunner) -> None:
    """Answer without `Server` from now on; to be called between the runner's set-up and its first connection.

    Not by `on_response_prepare`: that is not sent for answers to what is no HTTP, which aiohttp gives below every
    application. Checked against aiohttp 3.14: those have a request of this class too.
    """
    if runner.server is None:
        raise RuntimeError("the runner is not set up")
    make: Callable[..., web.BaseRequest] = runner.server.request_factory  # the application's
    runner.server.request_factory = partial(make, _cls=_Request)
