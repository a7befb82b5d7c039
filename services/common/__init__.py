"""The code that the watcher and the gateway must share."""
