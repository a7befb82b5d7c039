"""Health and metrics for operators, not for the public: shared by the watcher and the gateway."""
