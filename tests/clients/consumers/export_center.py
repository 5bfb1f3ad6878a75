"""ExportCenter: takes a scan's verdict from the stream and puts it into an offline kit. It has no table at all.

Usage: ``export_center.py SCAN_ID``.
"""

import json
import sys

from tests.clients.consumers.service import STORAGE, cache, database, entry_of, objects, refused, report

SCAN = sys.argv[1]

valkey = cache()
evaluation = entry_of(valkey, "policy:evaluated", event="evaluation.completed", scan_id=SCAN)

assert STORAGE.object_store is not None
s3, kits, key = objects(), STORAGE.object_store.bucket("offline-kits"), f"{SCAN}/manifest.json"
manifest = {"image": evaluation["image_digest"], "verdict": evaluation["verdict"]}
s3.put_object(Bucket=kits, Key=key, Body=json.dumps(manifest).encode(), ContentType="application/json")

with database() as connection:
    report(
        {"bucket": kits, "key": key},
        {
            "read an SBOM": refused(lambda: s3.list_objects_v2(Bucket=kits.replace("offline-kits", "blobs"))),
            "add evidence": refused(
                lambda: s3.put_object(
                    Bucket=kits.replace("offline-kits", "evidence"), Key="b1/manifest.json", Body=b"{}"
                )
            ),
            "read findings": refused(lambda: connection.execute("SELECT FROM policy.policies")),
            "read scans": refused(lambda: connection.execute("SELECT FROM scanner.scans")),
            "give a verdict": refused(lambda: valkey.xadd("policy:evaluated", {"event": "verdict.changed"})),
            "read the active policy": refused(lambda: valkey.get("policy:active")),
        },
    )
