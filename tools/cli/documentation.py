"""Commands that generate reference pages and JSON Schemas."""

from tools.cli.command import Argument, Command, CommandGroup, Invocation, Make

CHECK = Argument("--check", "write nothing; fail if a file is not current", switch=True)


def _docs(invocation: Invocation) -> int:
    from tools.cli import reference
    from tools.reference import command

    return command.run(
        [reference.page(invocation.commands)], check=invocation.options.check, show=invocation.options.open
    )


def _schemas(invocation: Invocation) -> int:
    from tools.reference import config, schemas

    check = invocation.options.check
    return max(schemas.run(check=check), config.run(check=check))


COMMANDS = (
    Command(
        "docs", "generate docs/reference, docs/commands.md and the site docs/site/index.html", CommandGroup.DOCUMENTATION, _docs,
        arguments=(CHECK, Argument("--open", "open the site in a browser", switch=True)), make=Make("docs", "or docs-open"),
    ),
    Command(
        "schemas", "generate the JSON Schemas and the config block of Pulumi.yaml from their models", CommandGroup.DOCUMENTATION, _schemas,
        arguments=(CHECK,),
    ),
)  # fmt: skip
