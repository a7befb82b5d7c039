"""The stream of changes as Server-Sent Events."""
