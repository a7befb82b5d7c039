"""The part of the OpenAPI document that describes sign-in, renewal and both ways to sign out."""

from services.gateway.http.openapi_answers import Schema, problems

_TIME = {"type": ["string", "null"], "format": "date-time"}
_SCHEMAS: dict[str, Schema] = {
    "Identity": {
        "type": "object",
        "title": "Identity",
        "required": ["subject", "name", "scopes", "expires_at", "expires_in", "renewable"],
        "properties": {
            "subject": {"type": "string", "description": "Who it is, to programs."},
            "name": {"type": "string", "description": "The same, to people."},
            "scopes": {"type": "array", "items": {"type": "string"}, "description": "What it may do."},
            "expires_at": {**_TIME, "description": "When the token or the session ends."},
            "expires_in": {"type": ["number", "null"], "description": "The same in seconds from now."},
            "renewable": {"type": "boolean", "description": "Whether `POST /auth/renew` makes it last longer."},
        },
    },
    "Farewell": {
        "type": "object",
        "title": "Farewell",
        "required": ["continue_at"],
        "properties": {
            "continue_at": {"type": ["string", "null"], "description": "Where to sign out at the provider, too."},
        },
    },
    "Logout": {
        "type": "object",
        "title": "Logout",
        "required": ["logout_token"],
        "properties": {"logout_token": {"type": "string", "description": "A logout token of the provider's."}},
    },
    "LogoutRefused": {
        "type": "object",
        "title": "LogoutRefused",
        "required": ["error", "error_description"],
        "properties": {
            "error": {"type": "string", "const": "invalid_request"},
            "error_description": {"type": "string", "description": "Why."},
        },
    },
}
_HTML = {"text/html": {"schema": {"type": "string"}}}
_LOCATION = {"Location": {"description": "Where to.", "schema": {"type": "string"}}}
_COOKIE: list[Schema] = [{"session": []}]
_NOBODY: list[Schema] = []  # who asks is not known yet, or proves it otherwise
_PAGES = {
    "400": "It was begun in another browser, too long ago, or not at all; or the address is not one of this server's.",
    "403": "The provider did not let the person in, or its answer is invalid.",
    "503": "The provider does not answer.",
}
_PAGE_ONLY = "For the gateway's own page, with the cookie of its session and the same `Origin`."


def sign_in_schemas(*, by_provider: bool) -> dict[str, Schema]:
    """Return the schemas that the paths refer to."""
    return _SCHEMAS if by_provider else {"Identity": _SCHEMAS["Identity"]}


def sign_in_paths(*, by_provider: bool) -> dict[str, Schema]:
    """Return the paths.

    Without an OpenID provider (``by_provider``) there are only tokens, and it can be asked whose one is.
    """
    known = {"/auth/session": {"get": _session()}}
    if not by_provider:
        return known
    return {
        **known,
        "/auth/sign-in": {"get": _sign_in()},
        "/auth/callback": {"get": _callback()},
        "/auth/renew": {"post": _renew()},
        "/auth/sign-out": {"post": _sign_out()},
        "/auth/back-channel-logout": {"post": _back_channel()},
    }


def _session() -> Schema:
    return {
        "operationId": "getIdentity",
        "summary": "Ask who makes the request",
        "description": "401 says why nobody does (`reason`), and where a person can sign in (`sign_in`).",
        "responses": {"200": {"description": "Who it is.", "content": _json("Identity")}, **problems()},
    }


def _sign_in() -> Schema:
    to = _parameter("to", "The path of this server to return to.", default="/")
    return {
        "operationId": "signIn",
        "summary": "Send a person to the OpenID provider",
        "description": "An address for browsers to open, not for programs.",
        "security": _NOBODY,
        "parameters": [to],
        "responses": {
            "302": {"description": "To the provider.", "headers": _LOCATION},
            **_with_pages(problems("400"), "400", "503"),
        },
    }


def _callback() -> Schema:
    described = {
        "state": "What the gateway gave the provider; it counts only in the browser that asked.",
        "code": "What the gateway gets the ID token for.",
        "error": "Why there is no code.",
        "iss": "The provider, where it says so (RFC 9207).",
    }
    return {
        "operationId": "completeSignIn",
        "summary": "Take a person back from the OpenID provider",
        "description": "The address to register at the provider. It makes the session's cookie.",
        "security": _NOBODY,
        "parameters": [_parameter(name, text) for name, text in described.items()],
        "responses": {
            "303": {"description": "Back to the page.", "headers": _LOCATION},
            **_with_pages(problems("400"), "400", "403", "503"),
        },
    }


def _renew() -> Schema:
    return {
        "operationId": "renewSession",
        "summary": "Let the session last longer, with the rights of now",
        "description": f"{_PAGE_ONLY} 409 where it cannot be renewed.",
        "security": _COOKIE,
        "responses": {"200": {"description": "Who it is.", "content": _json("Identity")}, **problems("409")},
    }


def _sign_out() -> Schema:
    return {
        "operationId": "signOut",
        "summary": "End the session at every replica, with its connections",
        "description": _PAGE_ONLY,
        "security": _COOKIE,
        "responses": {
            "200": {"description": "It has ended.", "content": _json("Farewell")},
            **problems(),
        },
    }


def _back_channel() -> Schema:
    found = problems("400", "408", "413", "415")
    content = {**_json("LogoutRefused"), **found["400"]["content"]}
    found["400"] = {"description": "It is not a logout token for us.", "content": content}
    return {
        "operationId": "endSessions",
        "summary": "End the sessions that the OpenID provider names",
        "description": "The address to register at the provider (OpenID Connect Back-Channel Logout 1.0).",
        "security": _NOBODY,
        "requestBody": {"required": True, "content": _as_form("Logout")},
        "responses": {"200": {"description": "They have ended."}, **found},
    }


def _json(name: str) -> Schema:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _as_form(name: str) -> Schema:
    return {"application/x-www-form-urlencoded": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _with_pages(found: Schema, *statuses: str) -> Schema:
    """Return the answers, these as people get them: as a page, or where it is not for sign-in to say, as a problem."""
    pages = {status: {**found[status], "description": _PAGES[status]} for status in statuses}
    return {**found, **{status: {**one, "content": {**one["content"], **_HTML}} for status, one in pages.items()}}


def _parameter(name: str, description: str, **schema: str) -> Schema:
    return {"name": name, "in": "query", "description": description, "schema": {"type": "string", **schema}}
