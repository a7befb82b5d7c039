"""What meets a connection before anybody knows what it wants."""
