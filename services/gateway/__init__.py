"""The stateless service that clients talk to: REST, Socket.IO, SSE and the page."""
