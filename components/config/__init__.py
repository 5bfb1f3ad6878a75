"""Stack config.

``model`` declares every key: its type, default, description, constraint and whether it is a secret. ``values`` holds the
types, ``load`` reads keys from the engine or from a dictionary, ``checks`` compares the config with the mapping.
"""
