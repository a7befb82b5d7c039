"""The only reader of the change stream: it normalizes each change and publishes it to Redis."""
