"""Put first on PYTHONPATH: each Python process has a clock that is ``FAULTS_CLOCK_SECONDS`` ahead."""

import datetime as dt
import os
import time
from typing import Any

AHEAD = float(os.environ.get("FAULTS_CLOCK_SECONDS", "0"))
_time = time.time
_real = dt.datetime


class _Shifted(_real):
    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> Any:
        return _real.now(tz) + dt.timedelta(seconds=AHEAD)

    @classmethod
    def utcnow(cls) -> Any:
        return cls.now(dt.UTC).replace(tzinfo=None)


if AHEAD:
    time.time = lambda: _time() + AHEAD
    dt.datetime = _Shifted  # type: ignore[misc]
