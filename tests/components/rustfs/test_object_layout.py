"""Which keys belong into a bucket, of what type they are, and which of them their key says the digest of."""

from pathlib import Path

import pytest

from components.mapping import load
from components.rustfs.layout import Layout

MAPPING = load(Path(__file__).parents[3] / "schema-mapping.yaml")
DIGEST = "417f" + "0" * 60
BLOBS, IMAGES, EVIDENCE, KITS = (Layout.of(MAPPING, name) for name in ("blobs", "images", "evidence", "offline-kits"))


@pytest.mark.parametrize(
    ("layout", "key"),
    [
        (BLOBS, f"417f/{DIGEST}/sbom.json"),
        (BLOBS, f"417f/{DIGEST}/evidence.bundle"),
        (BLOBS, f"417f/sha256:{DIGEST}/sbom.cdx.pb"),
        (IMAGES, f"sha256:{DIGEST}/reachability.json"),
        (EVIDENCE, "bundle-1/manifest.dsse"),
        (EVIDENCE, "bundle-1/sboms/a/b.cdx.json"),
        (KITS, "kit-1/trust-roots/root.pem"),
    ],
)
def test_what_the_reference_names_has_no_fault(layout: Layout, key: str) -> None:
    assert layout.fault(key) is None


@pytest.mark.parametrize(
    ("layout", "key", "says"),
    [
        (BLOBS, "stray.txt", "matches no template"),
        (BLOBS, f"417f/{DIGEST}/sbom.txt", "matches no template"),
        (BLOBS, f"417f/{DIGEST}/deeper/sbom.json", "matches no template"),
        (BLOBS, f"{DIGEST}/sbom.json", "matches no template"),
        (BLOBS, f"417e/{DIGEST}/sbom.json", "its prefix is 417e, and the digest begins with 417f"),
        (BLOBS, f"417/{DIGEST}/sbom.json", "its prefix is 417,"),
        (BLOBS, "417f/417f00/sbom.json", "not a SHA-256 digest"),
        (IMAGES, f"sha256:{DIGEST}/sbom.json", "matches no template"),
        (EVIDENCE, "bundle-1/sboms/", "matches no template"),
        (KITS, "kit-1/notes.md", "matches no template"),
    ],
)
def test_what_does_not_belong_is_told_in_words(layout: Layout, key: str, says: str) -> None:
    fault = layout.fault(key)
    assert fault is not None and says in fault


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("x/sbom.json", "application/json"),
        ("x/inventory.cdx.json", "application/vnd.cyclonedx+json"),
        ("x/inventory.cdx.pb", "application/vnd.cyclonedx+protobuf"),
        ("x/a.spdx.json", "application/spdx+json"),
        ("x/manifest.dsse", "application/vnd.dsse+json"),
        ("x/layer.tar", None),
    ],
)
def test_the_longest_extension_decides_the_content_type(key: str, kind: str | None) -> None:
    assert EVIDENCE.content_type(key) == kind


def test_the_digest_in_a_key_is_the_payloads_and_no_other_objects() -> None:
    assert BLOBS.digest(f"417f/{DIGEST}/sbom.json") == DIGEST
    assert BLOBS.digest(f"417f/sha256:{DIGEST}/sbom.json") == DIGEST
    assert BLOBS.digest(f"417f/{DIGEST}/sbom.meta.json") is None
    assert IMAGES.digest(f"sha256:{DIGEST}/inventory.cdx.json") is None
