"""The local stack: engine, servers and everything that ``make`` does. ``components/`` never imports it."""
