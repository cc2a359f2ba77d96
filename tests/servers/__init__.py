"""Real servers for tests, each private, on a free port of 127.0.0.1, gone after the session."""
