"""The stateless service that clients connect to: REST, Socket.IO, SSE and the page."""
