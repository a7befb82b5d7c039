"""The one change-stream reader of both services: open, read, classify errors, step over unreadable events."""
