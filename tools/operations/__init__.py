"""Day-two commands on any stack: ``python -m tools.operations COMMAND --stack NAME``.

Each command is a module with ``NAME``, ``HELP``, ``arguments(parser)`` and ``run(stack, options)``; ``COMMANDS`` in
``__main__`` lists them. They read the same mapping and settings as the program and never change the stack's state.
"""
