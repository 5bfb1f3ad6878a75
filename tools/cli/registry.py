"""All commands, in the order in which they are listed."""

from tools.cli import day_two, development, documentation, local_stack, review

COMMANDS = (
    *local_stack.COMMANDS,
    *day_two.COMMANDS,
    *review.COMMANDS,
    *documentation.COMMANDS,
    *development.COMMANDS,
)
