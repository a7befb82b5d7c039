"""Sign-in of the page by OpenID Connect, and the session that it makes."""
