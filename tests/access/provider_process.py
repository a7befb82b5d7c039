"""The OpenID provider of deploy/sign-in as a process: a certified one, oidc-provider, without passwords."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from services.embedded.ports import free_port
from services.embedded.server import EmbeddedServer
from tests.service_process import ROOT

CLIENT = "orders"


@dataclass(eq=False, kw_only=True)
class ProviderProcess(EmbeddedServer):
    """It knows one client, the gateway whose page is at ``page``."""

    page: str
    folder: Path
    port: int = field(default_factory=free_port)
    name: str = "provider"
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.folder / "provider.log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> dict[str, str]:
        """What the gateway is told of it."""
        return {"OIDC_ISSUER": self.url, "OIDC_CLIENT_ID": CLIENT}

    def argv(self) -> list[str]:
        return ["node", str(ROOT / "deploy" / "sign-in" / "provider.mjs")]

    def env(self) -> Mapping[str, str]:
        return {"PORT": str(self.port), "ISSUER": self.url, "PAGE": self.page, "CLIENT_ID": CLIENT}

    async def answers(self) -> bool:
        timeout = aiohttp.ClientTimeout(total=2)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as http,
                http.get(f"{self.url}/.well-known/openid-configuration") as response,
            ):
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False
