"""Day-two commands on any stack: ``python3 -m tools COMMAND --stack NAME`` (their arguments: ``tools/cli/day_two.py``).

Each command is a module with ``run(stack, options)``, which returns the exit code. They read the same mapping and
settings as the program and never change the stack's state.
"""
