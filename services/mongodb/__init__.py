"""The one change-stream reader of both services: open, read, classify errors, step over what cannot be read."""
