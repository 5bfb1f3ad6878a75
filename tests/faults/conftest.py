"""A small stack that several files share."""

from collections.abc import Iterator

import pytest

from tests.faults import reserved
from tests.watchdog import Watchdog


@pytest.fixture(scope="session")
def reserved_stack(watchdog: Watchdog) -> Iterator[reserved.Reserved]:
    """Tests leave it as they found it; put them into the xdist group ``reserved words``."""
    with reserved.reserved_stack(watchdog) as made:
        yield made
