"""The first run on new servers, in which the engine writes its state only at the end.

Normally the engine writes its whole state after each resource, so that a killed run can be continued. That takes half the
time of a first ``up``, which needs no continuation: if it is killed, the next run deletes the servers' data and starts
from scratch. A marker file exists from the start of a first run until its state is written.
"""

from tools.local.console import Console
from tools.local.fleet import Fleet
from tools.local.paths import State
from tools.local.stack import Stack

# An experimental feature of the engine. An engine without it writes its state after each resource.
STATE_AT_THE_END = {"PULUMI_EXPERIMENTAL": "true", "PULUMI_SKIP_CHECKPOINTS": "true"}


def begin(state: State, stack: Stack, fleet: Fleet) -> dict[str, str]:
    """Mark a first run and return its environment variables; none if a server is external or existed before."""
    if stack.has_resources() or not all(server.created for server in fleet.servers):
        return {}
    state.first_run.touch(mode=0o600)
    return STATE_AT_THE_END


def end(state: State, stack: Stack) -> None:
    """Remove the marker if the run wrote its state."""
    if stack.has_resources():
        state.first_run.unlink(missing_ok=True)


def start_over(state: State, stack: Stack, fleet: Fleet, console: Console) -> bool:
    """Delete the servers' data if a first run ended without writing its state; True if it did."""
    end(state, stack)
    if not state.first_run.exists():
        return False
    fleet.remove()
    state.first_run.unlink()
    text = "the first run was killed before it wrote its state; starting from scratch"
    console.line("stack", console.paint("yellow", text))
    return True
