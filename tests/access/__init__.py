"""Who may see and change what: every path, every attack."""
