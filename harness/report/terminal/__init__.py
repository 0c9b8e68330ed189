"""Zone: the live view of a session in a terminal."""
