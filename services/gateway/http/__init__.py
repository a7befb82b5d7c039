"""Plain HTTP: the REST API, its description, the page, health."""
