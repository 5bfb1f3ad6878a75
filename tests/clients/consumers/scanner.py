"""Scanner: puts an SBOM, writes the scan and the SBOM's record, keeps the result in Valkey, and says that it is complete.

Usage: ``scanner.py SCAN_ID``.
"""

import hashlib
import json
import sys
import uuid

from tests.clients.consumers.service import STORAGE, cache, database, objects, refused, report

SCAN = sys.argv[1]
IMAGE = f"sha256:image-{SCAN}"
SBOM = json.dumps({"bomFormat": "CycloneDX", "serialNumber": f"urn:uuid:{SCAN}"}).encode()
DIGEST = hashlib.sha256(SBOM).hexdigest()
ARTIFACT = f"sha256:{DIGEST}"
TENANT = str(uuid.uuid5(uuid.NAMESPACE_DNS, "tenant.example.org"))

assert STORAGE.object_store is not None
s3, blobs, key = objects(), STORAGE.object_store.bucket("blobs"), f"{DIGEST[:4]}/{DIGEST}/sbom.json"
# What is content-addressed is written once.
s3.put_object(Bucket=blobs, Key=key, Body=SBOM, ContentType="application/json", IfNoneMatch="*")

with database() as connection:
    connection.execute("INSERT INTO images (image_digest, repository) VALUES (%s, 'shop/cart')", [IMAGE])
    connection.execute(
        "INSERT INTO scans (scan_id, tenant_id, image_digest, state, completed_at) VALUES (%s, %s, %s, 'completed', now())",
        [SCAN, TENANT, IMAGE],
    )
    connection.execute(
        "INSERT INTO artifacts (artifact_id, scan_id, format) VALUES (%s, %s, 'cdx-json')", [ARTIFACT, SCAN]
    )
    connection.execute("INSERT INTO scan_artifacts VALUES (%s, %s)", [SCAN, ARTIFACT])

    valkey = cache()
    result = {"packages": 12, "critical": 1}
    valkey.set(STORAGE.valkey.key("scan:{digest}", digest=IMAGE), json.dumps(result))
    valkey.xadd(
        "scanner:events",
        {"event": "scan.completed", "scan_id": SCAN, "tenant_id": TENANT, "image_digest": IMAGE, **result},
    )
    report(
        {"image": IMAGE, "artifact": ARTIFACT, "bucket": blobs, "key": key},
        {
            "change an SBOM's record": refused(
                lambda: connection.execute(
                    "UPDATE artifacts SET format = 'spdx-json' WHERE artifact_id = %s", [ARTIFACT]
                )
            ),
            "delete an SBOM": refused(lambda: s3.delete_object(Bucket=blobs, Key=key)),
            "add evidence": refused(
                lambda: s3.put_object(Bucket=blobs.replace("blobs", "evidence"), Key="b1/manifest.json", Body=b"{}")
            ),
            "read policies": refused(lambda: connection.execute("SELECT FROM policy.policies")),
            "give a verdict": refused(lambda: valkey.xadd("policy:evaluated", {"event": "verdict.changed"})),
            "change the active policy": refused(lambda: valkey.set("policy:active", "allow all")),
        },
    )
