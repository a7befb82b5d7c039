"""The two services of Real-time Orders, what they share, and a stack to run them on one machine."""
