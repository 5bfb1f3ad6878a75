"""The local stack: engine, servers and offline plugins. Nothing in here is needed by a real environment."""
