"""Policy: takes a finished scan from the stream, evaluates it, keeps the finding, and says what came out.

Usage: ``policy.py SCAN_ID``.
"""

import sys
import uuid

from psycopg import sql

from tests.clients.consumers.service import cache, database, entry_of, refused, report

SCAN = sys.argv[1]
POLICY, RUN = str(uuid.uuid4()), str(uuid.uuid4())

valkey = cache()
scan = entry_of(valkey, "scanner:events", event="scan.completed", scan_id=SCAN)
verdict = "blocked" if int(scan["critical"]) else "passed"

with database() as connection:
    connection.execute(
        "INSERT INTO policies (policy_id, tenant_id, name, version, state) VALUES (%s, %s, 'no criticals', 1, 'ACTIVE')",
        [POLICY, scan["tenant_id"]],
    )
    connection.execute(
        "INSERT INTO policy_runs (run_id, policy_id, tenant_id, started_at, completed_at) VALUES (%s, %s, %s, now(), now())",
        [RUN, POLICY, scan["tenant_id"]],
    )
    connection.execute("SELECT create_finding_tables(%s)", [POLICY])
    connection.execute(
        sql.SQL(
            "INSERT INTO {} (finding_id, policy_id, tenant_id, component_purl, vulnerability_id, image_digest, verdict)"
            " VALUES (%s, %s, %s, 'pkg:npm/cart@1.0.0', 'CVE-2024-0001', %s, %s)"
        ).format(sql.Identifier(f"effective_finding_{POLICY}")),
        [str(uuid.uuid4()), POLICY, scan["tenant_id"], scan["image_digest"], verdict],
    )
    valkey.xadd(
        "policy:evaluated",
        {
            "event": "evaluation.completed", "scan_id": SCAN, "run_id": RUN, "image_digest": scan["image_digest"],
            "verdict": verdict,
        },
    )  # fmt: skip
    report(
        {"policy": POLICY, "verdict": verdict},
        {
            "read scans": refused(lambda: connection.execute("SELECT FROM scanner.scans")),
            "say that a scan is complete": refused(lambda: valkey.xadd("scanner:events", {"event": "scan.completed"})),
            "take another group's entries": refused(
                lambda: valkey.xreadgroup("notifier", "x", {"notify:delivery": ">"})
            ),
            "make a table": refused(lambda: connection.execute("CREATE TABLE policy.mine (id int)")),
        },
    )
