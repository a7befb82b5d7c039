"""Runs an application on aiohttp's server as every server of ours is to be run."""

from typing import Any

from aiohttp import web

from services.front.answered_errors import AnsweredErrors
from services.front.bodies import SERVER_OPTIONS


class _Server(web.Server):
    def __call__(self) -> AnsweredErrors:
        return AnsweredErrors(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """An `AppRunner` whose connections unpack no bodies and answer what cannot be read."""

    def __init__(self, app: web.Application, **options: Any) -> None:
        super().__init__(app, **{**SERVER_OPTIONS, **options})

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(made.request_handler, request_factory=made.request_factory, **self._kwargs)
