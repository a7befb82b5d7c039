"""Speaks with the OpenID provider: reads its description and keys, and exchanges codes for tokens."""

import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar
from urllib.parse import quote_plus, urlsplit

import aiohttp
import msgspec

from services.gateway.edge.key_source import PublishedKeys
from services.gateway.edge.published import PATIENCE_SECONDS, PublishedDocument, UnusableAnswer, bounded_body
from services.gateway.edge.tokens import UnknownKey, VerifyingKey
from services.gateway.sign_in.id_token import UnacceptableToken

_WELL_KNOWN = "/.well-known/openid-configuration"
_MOST_AT_ONCE = 50  # requests for tokens: whoever comes back from the provider causes one
_CODE = re.compile(r"[a-z_]{1,64}", re.ASCII)

Read = TypeVar("Read")


class ProviderUnavailable(Exception):
    """The provider does not answer, or not as the specification says; the message contains no secret."""


class ProviderRefused(Exception):
    """The provider does not accept the code or the refresh token; the message is its error code."""


class Description(msgspec.Struct, frozen=True):
    """What the provider publishes of itself (OpenID Connect Discovery, 3), as far as it is used."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str | None = None
    token_endpoint_auth_methods_supported: list[str] = msgspec.field(default_factory=lambda: ["client_secret_basic"])
    authorization_response_iss_parameter_supported: bool = False


class Client(NamedTuple):
    """We, as the provider knows us; without a secret a public client."""

    id: str
    secret: str


class Tokens(NamedTuple):
    """What the provider has given for a code or a refresh token; the texts are empty where it has not."""

    id_token: str
    refresh_token: str


class _TokenAnswer(msgspec.Struct):
    id_token: str = ""
    refresh_token: str = ""


class _ErrorAnswer(msgspec.Struct):
    error: str


class Provider:
    """One issuer. What it publishes is read when it is needed, cached, and kept while it cannot be read."""

    def __init__(self, issuer: str, client: Client) -> None:
        self._client = client
        address = issuer.rstrip("/") + _WELL_KNOWN
        name = "description of the OpenID provider"
        self._description = PublishedDocument(address, lambda document: parse_description(document, issuer), name)
        self._keys: PublishedKeys | None = None
        self._asking = 0

    async def description(self) -> Description:
        """Return what the provider says of itself; raise ProviderUnavailable."""
        known = await self._description.current()
        if known is None:
            raise ProviderUnavailable("its metadata document cannot be fetched")
        return known

    async def verified(self, verify: Callable[[Sequence[VerifyingKey]], Read]) -> Read:
        """Return what ``verify`` reads from a token with the provider's keys.

        It raises UnknownKey or UnacceptableToken, which is passed on; raise ProviderUnavailable.
        """
        keys = await self._known_keys()
        try:
            return verify(await keys.current())
        except UnknownKey as error:
            if not await keys.renew():
                raise _no_key(keys) from error
        try:
            return verify(keys.keys)
        except UnknownKey as error:
            raise _no_key(keys) from error

    async def _known_keys(self) -> PublishedKeys:
        url = (await self.description()).jwks_uri
        if self._keys is None or self._keys.url != url:
            self._keys = PublishedKeys(url, name="keys of sign-in")
        return self._keys

    async def exchange(self, code: str, verifier: str, redirect_uri: str) -> Tokens:
        """Return the tokens for a code; raise ProviderRefused or ProviderUnavailable."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        return await self._ask({**form, "code_verifier": verifier})

    async def refresh(self, refresh_token: str) -> Tokens:
        """Return new tokens; raise ProviderRefused or ProviderUnavailable."""
        return await self._ask({"grant_type": "refresh_token", "refresh_token": refresh_token})

    async def _ask(self, form: dict[str, str]) -> Tokens:
        description = await self.description()
        if self._asking >= _MOST_AT_ONCE:
            raise ProviderUnavailable("too many sign-ins are in progress")
        self._asking += 1
        try:
            return await self._post(description, form)
        except (aiohttp.ClientError, TimeoutError, OSError, UnusableAnswer) as error:
            raise ProviderUnavailable(f"no tokens: {type(error).__name__}") from error
        finally:
            self._asking -= 1

    async def _post(self, description: Description, form: dict[str, str]) -> Tokens:
        headers = {"Accept": "application/json"}
        if not self._client.secret:
            form = {**form, "client_id": self._client.id}
        elif "client_secret_basic" in description.token_endpoint_auth_methods_supported:
            headers["Authorization"] = _basic(self._client)
        else:
            form = {**form, "client_id": self._client.id, "client_secret": self._client.secret}
        timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(description.token_endpoint, data=form, headers=headers, allow_redirects=False) as response,
        ):
            body = await bounded_body(response)
            if response.status == 200:
                return _tokens(body)
            if 400 <= response.status < 500 and response.status != 429:
                raise ProviderRefused(_refusal_in(body))
            raise UnusableAnswer(f"the answer is {response.status}")


def parse_description(document: bytes, issuer: str) -> Description:
    """Read the document of this issuer; raise UnusableAnswer."""
    try:
        found = msgspec.json.decode(document, type=Description)
    except msgspec.DecodeError as error:
        raise UnusableAnswer("it does not describe an OpenID provider") from error
    if found.issuer != issuer:
        raise UnusableAnswer("it names another issuer than OIDC_ISSUER")
    # What is protected on the way here must not leave by an open one.
    schemes = {"https"} if urlsplit(issuer).scheme == "https" else {"http", "https"}
    addresses = [found.authorization_endpoint, found.token_endpoint, found.jwks_uri, found.end_session_endpoint]
    if any(urlsplit(address).scheme not in schemes for address in addresses if address is not None):
        raise UnusableAnswer("its addresses do not begin with https")
    return found


def _no_key(keys: PublishedKeys) -> Exception:
    if keys.keys:
        return UnacceptableToken("it is not signed with a key of the provider")
    return ProviderUnavailable("its keys cannot be fetched")


def _basic(client: Client) -> str:
    pair = f"{quote_plus(client.id)}:{quote_plus(client.secret)}"  # encoded first, as RFC 6749 says in 2.3.1
    return f"Basic {b64encode(pair.encode()).decode()}"


def _tokens(body: bytes) -> Tokens:
    try:
        answer = msgspec.json.decode(body, type=_TokenAnswer)
    except msgspec.DecodeError as error:
        raise UnusableAnswer("it has no tokens") from error
    return Tokens(answer.id_token, answer.refresh_token)


def _refusal_in(body: bytes) -> str:
    try:
        return error_code(msgspec.json.decode(body, type=_ErrorAnswer).error)
    except msgspec.DecodeError:
        return "unknown"


def error_code(said: str) -> str:
    """Return the error code of RFC 6749, for the log; whatever else was sent is unknown."""
    return said if _CODE.fullmatch(said) else "unknown"
