"""Plain HTTP: the REST API and its description, the page, health checks."""
