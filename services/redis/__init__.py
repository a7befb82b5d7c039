"""The connection to Redis, and the names of what is kept there."""
