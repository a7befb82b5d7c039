"""Socket.IO 5: namespaces and packets over Engine.IO sessions."""
