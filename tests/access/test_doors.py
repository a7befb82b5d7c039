"""What does not prove who somebody is: refused at every door, with its reason, and nothing of it is logged."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import jwt
import pytest
import socketio
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.access.conftest import Gate
from tests.access.tokens import SECRET, bearer, claims, token
from tests.access.viewers import socket, sse, viewer
from tests.waiting import HANGS

pytestmark = pytest.mark.asyncio(loop_scope="module")

DOORS = ("rest", "sse", "websocket", "polling", "websocket handshake", "polling handshake")


def encoded(part: dict[str, Any] | bytes) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def raw(header: dict[str, Any] | bytes, payload: dict[str, Any] | bytes, *, secret: str = SECRET) -> str:
    """Sign anything with the secret, also what no library would sign."""
    signed = f"{encoded(header)}.{encoded(payload)}"
    return f"{signed}.{encoded(hmac.digest(secret.encode(), signed.encode(), hashlib.sha256))}"


def tampered(**more: Any) -> str:
    header, _, signature = token(rights={"customer_name": "Ada"}).split(".")
    return f"{header}.{encoded(claims(**more))}.{signature}"


HS256 = {"alg": "HS256", "typ": "JWT"}
BAD: dict[str, tuple[Callable[[], str], str]] = {
    "no token at all": (lambda: "", "token_invalid"),
    "not a token": (lambda: "hostile", "token_invalid"),
    "two parts": (lambda: ".".join(token().split(".")[:2]), "token_invalid"),
    "without a signature": (lambda: ".".join(token().split(".")[:2]) + ".", "token_invalid"),
    "signed with another secret": (lambda: raw(HS256, claims(), secret="x" * 40), "token_invalid"),
    "signed with an empty secret": (lambda: raw(HS256, claims(), secret=""), "token_invalid"),
    "with other claims than were signed": (lambda: tampered(rights="*"), "token_invalid"),
    "alg none": (lambda: f"{encoded({'alg': 'none'})}.{encoded(claims())}.", "token_invalid"),
    "alg None": (lambda: f"{encoded({'alg': 'None'})}.{encoded(claims())}.", "token_invalid"),
    "alg nOnE, signed": (lambda: raw({"alg": "nOnE"}, claims()), "token_invalid"),
    "alg of another family": (lambda: raw({"alg": "RS256"}, claims()), "token_invalid"),
    "alg of the same family": (lambda: jwt.encode(claims(), SECRET + SECRET, "HS512"), "token_invalid"),
    "no alg": (lambda: raw({"typ": "JWT"}, claims()), "token_invalid"),
    "alg that is no text": (lambda: raw({"alg": ["HS256"]}, claims()), "token_invalid"),
    "kid that is no text": (lambda: raw({**HS256, "kid": {"a": 1}}, claims()), "token_invalid"),
    "critical extension": (lambda: raw({**HS256, "crit": ["b64"], "b64": False}, claims()), "token_invalid"),
    "unknown critical extension": (lambda: raw({**HS256, "crit": ["x"], "x": 1}, claims()), "token_invalid"),
    "expired": (lambda: token(seconds=-60), "token_expired"),
    "not yet valid": (lambda: token(nbf=int(time.time()) + 60), "token_not_yet_valid"),
    "issued in the future": (lambda: token(iat=int(time.time()) + 60), "token_not_yet_valid"),
    "never expires": (lambda: token(exp=None), "token_invalid"),
    "expires at no time": (
        lambda: raw(HS256, b'{"sub":"a","exp":"soon","iss":"https://issuer.example"}'),
        "token_invalid",
    ),
    "expires at infinity": (lambda: raw(HS256, b'{"sub":"a","exp":Infinity,"aud":"orders"}'), "token_invalid"),
    "lives longer than its revocation would": (lambda: token(seconds=90_000), "token_lives_too_long"),
    "lives that long and does not say since when": (
        lambda: token(seconds=90_000, iat=None),
        "token_lives_too_long",
    ),
    "with an id that is no text": (lambda: raw(HS256, claims() | {"jti": 5}), "token_invalid"),
    "with an id that no revocation could name": (lambda: token(jti="x" * 256), "token_invalid"),
    "for another audience": (lambda: token(aud="shop"), "token_invalid"),
    "for no audience": (lambda: token(aud=None), "token_invalid"),
    "of another issuer": (lambda: token(iss="https://issuer.example.evil"), "token_invalid"),
    "of no issuer": (lambda: token(iss=None), "token_invalid"),
    "without a subject": (lambda: token(sub=None), "token_invalid"),  # type: ignore[arg-type]
    "with an empty subject": (lambda: token(sub=""), "token_invalid"),
    "with a subject that is no text": (lambda: raw(HS256, claims() | {"sub": 5}), "token_invalid"),
    "with a line break in the subject": (lambda: token(sub="a\nb"), "token_invalid"),
    "with a very long subject": (lambda: token(sub="a" * 256), "token_invalid"),
    "with scopes of no form": (lambda: token(scope={"orders:read": True}), "token_invalid"),  # type: ignore[arg-type]
    "with rights of no form": (lambda: token(rights="Ada"), "token_invalid"),
    "with null for rights": (lambda: raw(HS256, claims() | {"rights": None}), "token_invalid"),
    "with rights for everything by mistake": (lambda: token(rights={}), "token_invalid"),
    "with an empty filter among the rights": (lambda: token(rights=[{"status": "shipped"}, {}]), "token_invalid"),
    "with an unknown field in the rights": (lambda: token(rights={"customer": "Ada"}), "token_invalid"),
    "with an unknown status in the rights": (lambda: token(rights={"status": "lost"}), "token_invalid"),
    "with operators in the rights": (lambda: token(rights={"customer_name": {"$ne": ""}}), "token_invalid"),
    "with NUL in the rights": (lambda: token(rights={"customer_name": "Ada\0"}), "token_invalid"),
    "with too many rights": (lambda: token(rights={"customer_name": [str(n) for n in range(101)]}), "token_invalid"),
    "huge": (lambda: token(filler="x" * 9000), "token_invalid"),
    "deeply nested": (lambda: raw(b'{"alg":"HS256","x":' + b"[" * 2000 + b"]" * 2000 + b"}", b"{}"), "token_invalid"),
    "deeply nested claims": (lambda: raw(HS256, b'{"x":' + b"[" * 1000 + b"]" * 1000 + b"}"), "token_invalid"),
    "claims that are a list": (lambda: raw(HS256, b"[]"), "token_invalid"),
    "without the scope": (lambda: token(scope="orders:write orders:admin"), "scope_missing"),
}


async def knock(url: str, door: str, text: str | None, method: str = "GET") -> str:
    """Return the reason why a token is not let in at this door."""
    way, _, handshake = door.partition(" ")
    if way in {"rest", "sse"}:
        path = "/api/orders" if way == "rest" else "/api/orders/events"
        headers = {} if text is None else bearer(text)
        async with aiohttp.ClientSession() as session, session.request(method, url + path, headers=headers) as response:
            challenge = response.headers.get("WWW-Authenticate", "")
            problem = await response.json()
            reason = str(problem["reason"])
            if response.status == 403:
                assert 'error="insufficient_scope"' in challenge
                return reason
            assert response.status == 401, response.status
            assert problem["type"].endswith("not-authenticated")
            assert reason == challenge.partition('error_description="')[2].rstrip('"') or reason == "token_missing"
            return reason
    client = socketio.AsyncClient(reconnection=False, request_timeout=HANGS)
    refusals: list[Any] = []
    client.on("connect_error", refusals.append)
    try:
        with pytest.raises(socketio.exceptions.ConnectionError):
            await client.connect(
                url,
                bearer(text) if handshake and text else {},
                {"token": text} if text is not None and not handshake else None,
                transports=[way],
                wait_timeout=HANGS,
            )
    finally:
        await client.disconnect()
    [refusal] = refusals
    assert refusal["message"] == refusal["data"]["reason"]
    return str(refusal["message"])


async def knock_with_large_header(url: str, door: str, text: str) -> int:
    path = "/socket.io/?EIO=4&transport=polling" if "handshake" in door else "/api/orders"
    async with aiohttp.ClientSession() as session, session.get(url + path, headers=bearer(text)) as response:
        return response.status


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("bad", BAD)
async def test_a_bad_token_is_refused_with_its_reason(gate: Gate, bad: str, door: str) -> None:
    make, reason = BAD[bad]
    text = make()
    if "handshake" in door or door in {"rest", "sse"}:
        if len(text) > 8000:  # no header may have this size, whatever it says
            assert await knock_with_large_header(gate.url, door, text) in {400, 431}
            return
        reason = "token_missing" if text == "" and "handshake" in door else reason
    assert await knock(gate.url, door, text) == reason
    assert len(text) < 10 or text not in gate.process.output


@pytest.mark.parametrize("door", DOORS)
async def test_nobody_is_let_in_without_a_token(gate: Gate, door: str) -> None:
    assert await knock(gate.url, door, None) == "token_missing"


@pytest.mark.parametrize(
    "header", ["Basic YTpi", "Bearer", "Bearer  ", "Token {}", "Bearer {} {}", "Bearer {},x", '"Bearer {}"', "{}"]
)
async def test_any_other_form_of_the_header_is_refused(gate: Gate, header: str) -> None:
    headers = {"Authorization": header.replace("{}", token(rights="*"))}
    async with aiohttp.ClientSession() as session, session.get(f"{gate.url}/api/orders", headers=headers) as response:
        assert response.status == 401


async def test_two_headers_are_refused(gate: Gate) -> None:
    headers = [("Authorization", f"Bearer {token()}"), ("Authorization", f"Bearer {token('eve')}")]
    async with aiohttp.ClientSession() as session, session.get(f"{gate.url}/api/orders", headers=headers) as response:
        assert response.status == 401


@pytest.mark.parametrize("place", ["access_token", "token", "Authorization"])
async def test_a_token_in_an_address_is_not_even_read(gate: Gate, place: str) -> None:
    params = {place: token(rights="*")}
    async with aiohttp.ClientSession() as session, session.get(f"{gate.url}/api/orders", params=params) as response:
        assert response.status == 401


@pytest.mark.parametrize("transport", ["websocket", "polling", "sse"])
async def test_a_good_token_is_let_in_by_header_and_payload(gate: Gate, transport: str) -> None:
    async with viewer(gate.url, transport, token(rights="*")) as one:
        assert one.names[0] == "connected"
    if transport != "sse":
        async with socket(gate.url, transport, headers=bearer(token(rights="*"))) as other:
            assert other.names[0] == "connected"


async def test_a_scheme_is_read_in_any_case(gate: Gate) -> None:
    headers = {"Authorization": f"bEARER   {token(rights='*')}"}
    async with aiohttp.ClientSession() as session, session.get(f"{gate.url}/api/orders", headers=headers) as response:
        assert response.status == 200


async def test_nothing_is_told_to_a_socket_that_has_not_said_who_it_is(gate: Gate) -> None:
    """Over a bare websocket: only the handshake of the transport, then pings."""
    async with aiohttp.ClientSession() as session:
        address = f"{gate.url}/socket.io/?EIO=4&transport=websocket"
        async with session.ws_connect(address) as websocket:
            assert (await websocket.receive_str()).startswith("0{")
            await websocket.send_str("40{}")
            refusal = await websocket.receive_str()
            assert refusal.startswith("44")
            assert json.loads(refusal[2:]) == {"message": "token_missing", "data": {"reason": "token_missing"}}
            await gate.orders.insert_one({"customer_name": "Ada"})
            await websocket.send_str('42["subscribe"]')  # without having been admitted
            message = await websocket.receive()
            assert message.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED}


def pem(key: Any) -> str:
    text: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return text.decode()


async def test_public_keys_verify_their_own_algorithm_only(gate: Gate) -> None:
    keys = {
        "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    }
    public = "".join(map(pem, keys.values()))
    gateway = await gate.product.gateway(JWT_SECRET="", JWT_PUBLIC_KEY=public)
    for algorithm, key in keys.items():
        text = jwt.encode(claims(rights="*"), key, algorithm)  # type: ignore[arg-type]
        async with sse(gateway.url, headers=bearer(text)) as shown:
            assert shown.names == ["connected"]
        # The classic: the public key, which everyone has, as the secret of an HMAC.
        for secret in (pem(key), pem(key).strip(), public, public.strip()):
            assert await knock(gateway.url, "rest", raw(HS256, claims(rights="*"), secret=secret)) == "token_invalid"
            confused = raw({"alg": algorithm}, claims(rights="*"), secret=secret)
            assert await knock(gateway.url, "rest", confused) == "token_invalid"
    for made in (
        jwt.encode(claims(), keys["RS256"], "PS256"),  # type: ignore[arg-type]
        jwt.encode(claims(), rsa.generate_private_key(public_exponent=65537, key_size=2048), "RS256"),
        jwt.encode(claims(), ec.generate_private_key(ec.SECP256R1()), "ES256"),
        jwt.encode(claims(), ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
        token(rights="*"),
    ):
        assert await knock(gateway.url, "rest", made) == "token_invalid"
