"""The command line ``python3 -m tools``: one registry of all commands, one module for each group of them.

Standard library only at import, so that ``--help`` works and a mistake is found before the virtual environment exists.
Each command's function imports what it needs when it runs.
"""
