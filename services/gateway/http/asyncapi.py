"""The AsyncAPI 3 document of the stream: its events over Socket.IO and Server-Sent Events, with their payloads."""

from collections.abc import Iterable
from typing import Any

from services.gateway.http.event_schemas import STREAM_SCHEMAS
from services.gateway.http.events import EVENTS, SOCKETIO, SSE, STREAM_TEXT, EventKind
from services.gateway.http.order_schema import ORDER_SCHEMA

_Schema = dict[str, Any]

_SOCKETIO_TEXT = (
    "Engine.IO 4 and Socket.IO 5, namespace `/`, by websocket, or by long-polling and from there to a websocket. Each "
    "event has its name and its payload as arguments; the server adds the cursor as the last one, by which stock "
    "clients recover."
)
_SSE_TEXT = "Each event has its name in `event:`, its cursor in `id:` and its payload, as JSON in one line, in `data:`."


def asyncapi_document(version: str) -> _Schema:
    """Return the document as JSON values."""
    of_socketio = [event for event in EVENTS if SOCKETIO in event.over]
    of_sse = [event for event in EVENTS if SSE in event.over]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Real-time orders: the stream",
            "version": version,
            "description": STREAM_TEXT.strip(),
        },
        "defaultContentType": "application/json",
        "servers": {"gateway": _server("http", "Server-Sent Events"), "sockets": _server("socket.io", "Socket.IO")},
        "channels": {
            "socketio": _channel(
                "sockets",
                "/socket.io/",
                "Socket.IO",
                _SOCKETIO_TEXT,
                [*(event.name for event in of_socketio), *_acks(of_socketio), "connect"],
            ),
            "sse": _channel(
                "gateway", "/api/orders/events", "Server-Sent Events", _SSE_TEXT, [event.name for event in of_sse]
            ),
        },
        "operations": {
            "sendOverSocketIO": _operation(
                "send", "socketio", "Tell a Socket.IO client", _sent_by(of_socketio, "server")
            ),
            "sendOverSse": _operation("send", "sse", "Tell an SSE client", of_sse),
            "connect": {
                "action": "receive",
                "channel": {"$ref": "#/channels/socketio"},
                "summary": "Take a Socket.IO client in; all of its `auth` is optional",
                "messages": [{"$ref": "#/channels/socketio/messages/connect"}],
            },
            **{event.name: _command(event) for event in _sent_by(of_socketio, "client")},
        },
        "components": {
            "messages": {
                **{event.name: _message(event.name, event.meaning, event.payload) for event in EVENTS},
                **{ack: _message(ack, "The answer to it.", ack) for ack in _acks(EVENTS)},
                "connect": _message("connect", "What a client may say when it connects.", "ConnectAuth"),
            },
            "schemas": {"Order": ORDER_SCHEMA, **STREAM_SCHEMAS},
        },
    }


def _server(protocol: str, title: str) -> _Schema:
    return {
        "host": "{host}",
        "protocol": protocol,
        "title": title,
        "variables": {"host": {"default": "localhost:3000", "description": "The gateway, or its load balancer."}},
    }


def _channel(server: str, address: str, title: str, description: str, messages: Iterable[str]) -> _Schema:
    return {
        "address": address,
        "title": title,
        "description": description,
        "servers": [{"$ref": f"#/servers/{server}"}],
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
    }


def _operation(action: str, channel: str, summary: str, events: Iterable[EventKind]) -> _Schema:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{channel}/messages/{event.name}"} for event in events],
    }


def _command(event: EventKind) -> _Schema:
    """Return the operation of an event that clients send, with its acknowledgement as the reply."""
    operation = _operation("receive", "socketio", event.meaning, [event])
    if event.ack is not None:
        operation["reply"] = {
            "channel": {"$ref": "#/channels/socketio"},
            "messages": [{"$ref": f"#/channels/socketio/messages/{event.ack}"}],
        }
    return operation


def _sent_by(events: Iterable[EventKind], sender: str) -> list[EventKind]:
    return [event for event in events if event.sender == sender]


def _acks(events: Iterable[EventKind]) -> list[str]:
    return sorted({event.ack for event in events if event.ack is not None})


def _message(name: str, summary: str, payload: str) -> _Schema:
    return {
        "name": name,
        "title": name,
        "summary": summary,
        "payload": {"$ref": f"#/components/schemas/{payload}"},
    }
