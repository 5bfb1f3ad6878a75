"""The first run on new servers, which writes the engine's state at its end only.

After each resource the engine writes all of its state, so that a killed run can go on: half of the time of a first
``up``. On servers whose data were made in the same run there is nothing to go on with: if it is killed, they are made
anew. A mark says that such a run has begun; it stays until the state has what was made.
"""

from tools.local.console import Console
from tools.local.fleet import Fleet
from tools.local.paths import State
from tools.local.stack import Stack

# Known to the engine as experimental. One that does not know it writes its state as usual.
STATE_AT_THE_END = {"PULUMI_EXPERIMENTAL": "true", "PULUMI_SKIP_CHECKPOINTS": "true"}


def begin(state: State, stack: Stack, fleet: Fleet) -> dict[str, str]:
    """The engine's further settings, if this is such a run. Never for a server that was there before, or is not ours."""
    if stack.has_resources() or not all(server.created for server in fleet.servers):
        return {}
    state.first_run.touch(mode=0o600)
    return STATE_AT_THE_END


def end(state: State, stack: Stack) -> None:
    """Take the mark away, unless the run ended without writing its state."""
    if stack.has_resources():
        state.first_run.unlink(missing_ok=True)


def start_over(state: State, stack: Stack, fleet: Fleet, console: Console) -> bool:
    """Remove the servers' data if a first run ended without writing its state; whether it was so."""
    end(state, stack)
    if not state.first_run.exists():
        return False
    fleet.remove()
    state.first_run.unlink()
    console.line("stack", console.paint("yellow", "the first run was killed before it wrote its state: it begins anew"))
    return True
