"""The local stack: engine, servers and the commands behind ``make``. ``components/`` never imports it."""
