"""The connection to Redis, and the schema of the data there."""
