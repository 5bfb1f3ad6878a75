"""Put first on PYTHONPATH: ``datetime`` is ``FAULTS_CLOCK_SECONDS`` ahead in each Python process, as for who signs.

Not ``time.time``: gRPC counts its deadlines by it in Python, and waits for them by the clock of the machine.
"""

import datetime as dt
import os
from typing import Any

AHEAD = float(os.environ.get("FAULTS_CLOCK_SECONDS", "0"))
_real = dt.datetime


class _Shifted(_real):
    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> Any:
        return _real.now(tz) + dt.timedelta(seconds=AHEAD)

    @classmethod
    def utcnow(cls) -> Any:
        return cls.now(dt.UTC).replace(tzinfo=None)


if AHEAD:
    dt.datetime = _Shifted  # type: ignore[misc]
