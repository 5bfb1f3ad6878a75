"""Run the program in time linear in the number of resources.

The SDK waits for outstanding outputs in rounds and visits all of them in each round, which is quadratic: it took 1.0 s of
the program's 3.8 s of processor time in a no-op preview of 306 resources. If all registrations are answered before the SDK
starts to wait, one round is enough.
"""

import asyncio
import signal
from collections.abc import Callable

import pulumi


def run(program: Callable[[], None]) -> None:
    """Call ``program`` and wait until all of its resources are registered. The SDK reports failed registrations."""
    # When a resource fails, the engine sends SIGINT. Python's own handler would print a traceback of the event loop.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    registered: list[pulumi.Resource] = []

    async def main() -> None:
        pulumi.runtime.register_stack_transformation(lambda args: registered.append(args.resource))
        program()
        await asyncio.gather(*(resource.urn.future() for resource in registered), return_exceptions=True)

    pulumi.run(main)
