"""What operators ask a service, and strangers must not: shared by the watcher and the gateway."""
