"""What the official suites of Engine.IO and Socket.IO are run against, and those behaviours in tests of our own."""
