"""``drift``: compare every store with the mapping and describe each difference. Changes nothing."""

import argparse
import json
import sys
from collections.abc import Callable

from components.mapping.printable import printable
from provider.errors import ProviderError
from tools.operations import drift_postgres, drift_rustfs, drift_valkey
from tools.operations.drift_finding import DriftFinding
from tools.operations.stack import Stack

DRIFTED = 2


# Store -> its comparison. Each raises ``ProviderError`` if the store cannot be read.
CHECKS: dict[str, Callable[[Stack], list[DriftFinding]]] = {
    "postgres": lambda stack: drift_postgres.check(stack, stack.export()),
    "valkey": drift_valkey.check,
    "rustfs": drift_rustfs.compare,
}


def run(stack: Stack, options: argparse.Namespace) -> int:
    """Compare the selected stores. Exit code 0 without a difference, 2 with one, 1 if a store could not be read."""
    differences: list[DriftFinding] = []
    failures: list[str] = []
    for store in options.store or CHECKS:
        try:
            differences += sorted(CHECKS[store](stack))
        except ProviderError as error:
            # Continue with the others: an unavailable store must not hide changes in another.
            failures.append(f"{store}: {error}")
    if options.json:
        found = [
            {"store": item.store, "sentence": item.sentence, "remedy": item.remedy(stack.refreshing_up)}
            for item in differences
        ]
        document = {"stack": stack.name, "differences": found, "errors": failures}
        print(json.dumps(document, indent=2))
    else:
        for item in differences:
            print(printable(f"{item.store}: {item.sentence}; run: {item.remedy(stack.refreshing_up)}"))
        if not differences and not failures:
            print(f"no drift in {', '.join(options.store or CHECKS)}: same as the mapping")
    for failure in failures:
        print(printable(f"error: {failure}"), file=sys.stderr)
    return 1 if failures else DRIFTED if differences else 0
