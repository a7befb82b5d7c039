"""What the watcher and the gateway must agree on."""
