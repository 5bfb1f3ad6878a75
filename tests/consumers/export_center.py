"""ExportCenter: takes verdicts from the stream and exports those of a scan. It has no table at all.

Usage: ``export_center.py SCAN_ID``.
"""

import sys

from tests.consumers.service import cache, database, entry_of, refused, report

SCAN = sys.argv[1]

valkey = cache()
evaluation = entry_of(valkey, "policy:evaluated", event="evaluation.completed", scan_id=SCAN)

with database() as connection:
    report(
        {"exported": {"image": evaluation["image_digest"], "verdict": evaluation["verdict"]}},
        {
            "read findings": refused(lambda: connection.execute("SELECT FROM policy.policies")),
            "read scans": refused(lambda: connection.execute("SELECT FROM scanner.scans")),
            "give a verdict": refused(lambda: valkey.xadd("policy:evaluated", {"event": "verdict.changed"})),
            "read the active policy": refused(lambda: valkey.get("policy:active")),
        },
    )
