"""The command line ``python3 -m tools``: a registry of all commands and one module per group of commands.

At import these modules need the standard library only: ``--help`` and the check of arguments work before the virtual
environment exists. A command imports everything else when it runs.
"""
