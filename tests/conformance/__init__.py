"""The server for the official suites of Engine.IO and Socket.IO, and tests of our own for the same behaviours."""
