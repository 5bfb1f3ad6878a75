"""Commands that create, show and remove the local stack."""

from tools.cli.command import YES, Argument, Command, CommandGroup, Invocation, Make, Scope

ENGINE = "the engine (pulumi)"


def _up(invocation: Invocation) -> int:
    from tools.local import commands

    if invocation.options.servers_only:
        return commands.start_servers()
    return commands.up(invocation.passed_on)


def _preview(invocation: Invocation) -> int:
    from tools.local import commands

    return commands.preview(invocation.passed_on)


def _refresh(invocation: Invocation) -> int:
    from tools.local import commands

    return commands.refresh(invocation.passed_on)


def _down(_invocation: Invocation) -> int:
    from tools.local import commands

    return commands.down()


def _destroy(invocation: Invocation) -> int:
    from tools.local import commands

    return commands.destroy(invocation.passed_on, confirmed=invocation.options.yes)


def _clean(invocation: Invocation) -> int:
    from tools.local import commands

    return commands.clean(confirmed=invocation.options.yes)


def _env(invocation: Invocation) -> int:
    from tools.local import commands

    return commands.env(invocation.options.module)


def _pulumi(invocation: Invocation) -> int:
    from tools.local import commands

    return commands.pulumi(invocation.passed_on)


COMMANDS = (
    Command(
        "up", "bring up the local stack: engine, servers and every resource", CommandGroup.LOCAL_STACK, _up, Scope.LOCAL,
        (Argument("--servers-only", "start the servers and print their addresses; create no resources", switch=True),),
        passes_on_to=ENGINE, make=Make("up"),
        details="The first run builds what it cannot download, which takes minutes. An interrupted run can be repeated.",
    ),
    Command(
        "preview", "show what `up` would change; change nothing", CommandGroup.LOCAL_STACK, _preview, Scope.LOCAL,
        passes_on_to=ENGINE, make=Make("preview", "ARGS=--expect-no-changes"),
        details="Prints each changed resource with its changed properties, and the differences of the contract. With arguments "
                "the engine prints its own view: ARGS=--diff, or ARGS=--expect-no-changes, whose exit code is not 0 if there are changes.",
    ),
    Command(
        "refresh", "detect manual changes in the stores; the next `up` reverts them",
        CommandGroup.LOCAL_STACK, _refresh, Scope.LOCAL, passes_on_to=ENGINE, make=Make("refresh"),
    ),
    Command("down", "stop the servers and keep their data", CommandGroup.LOCAL_STACK, _down, Scope.LOCAL, make=Make("down")),
    Command(
        "destroy", "delete every resource and its data, then stop the servers", CommandGroup.LOCAL_STACK, _destroy, Scope.LOCAL,
        (YES,), passes_on_to=ENGINE, make=Make("destroy", "YES=1 skips the confirmation"),
    ),
    Command(
        "clean", "remove the local stack and all its data", CommandGroup.LOCAL_STACK, _clean, Scope.LOCAL, (YES,),
        make=Make("clean", "YES=1 skips the confirmation"),
    ),
    Command(
        "env", "print shell exports of the variables that a module connects with", CommandGroup.LOCAL_STACK, _env, Scope.LOCAL,
        (Argument("module", "a module of schema-mapping.yaml, for example scanner"),),
        machine_output=True, make=Make("env", "MODULE=scanner"),
        details='In a shell: eval "$(make -s env MODULE=scanner)"',
    ),
    Command(
        "pulumi", "run the engine on the local stack", CommandGroup.LOCAL_STACK, _pulumi, Scope.LOCAL,
        passes_on_to=ENGINE, passes_on_all=True, machine_output=True, make=Make("pulumi", 'ARGS="stack output contract"'),
    ),
)  # fmt: skip
