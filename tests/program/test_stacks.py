"""The same program for every stack: what differs is config, and prod is protected."""

import gc
import runpy
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from provider.plugin import KINDS
from tests.program.recorder import Recorder, record

ROOT = Path(__file__).parents[2]
PROJECT = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
SECRETS = ("postgresAdminPassword", "valkeyAdminPassword", "objectStoreAccessKey", "objectStoreSecretKey")
ENDPOINTS = {"postgresHost": "db", "valkeyHost": "cache", "objectStoreEndpoint": "http://s3"}
KEPT = {"database:Database::", "schema:Schema::", "objectstore:Bucket::"}


def config_of(stack: str) -> dict[str, str]:
    """What the engine would hand to the program: defaults, the stack's own, and secrets somebody set."""
    file = yaml.safe_load((ROOT / "stacks" / f"Pulumi.{stack}.yaml").read_text())["config"]
    defaults = {
        f"stellaops-storage:{key}": item["default"] for key, item in PROJECT["config"].items() if "default" in item
    }
    defaults |= {key: item["value"] for key, item in PROJECT["config"].items() if isinstance(item.get("value"), str)}
    ours = {
        f"stellaops-storage:{key}": value for key, value in {**dict.fromkeys(SECRETS, "s3cret"), **ENDPOINTS}.items()
    }
    merged = {**defaults, **ours, **file}
    return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in merged.items()}


def run(stack: str, monkeypatch: pytest.MonkeyPatch, **changes: str) -> tuple[Recorder, dict[str, bool]]:
    """The program on mocks: what it registered, and for each resource (type and name) whether it is protected."""
    return run_in(ROOT, stack, monkeypatch, **changes)


def run_in(
    directory: Path, stack: str, monkeypatch: pytest.MonkeyPatch, **changes: str
) -> tuple[Recorder, dict[str, bool]]:
    """``run`` with the mapping and the migrations of ``directory``."""
    monkeypatch.chdir(directory)
    protected: dict[str, bool] = {}

    entrypoints: list[Callable[[], Awaitable[None]]] = []
    # The SDK's own works in the engine's process only.
    monkeypatch.setattr(pulumi, "run", entrypoints.append)

    def program() -> Awaitable[None]:
        def remember(args: pulumi.ResourceTransformationArgs) -> None:
            protected[f"{args.type_}::{args.name}"] = bool(args.opts.protect)

        pulumi.runtime.register_stack_transformation(remember)
        try:
            runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")
        finally:
            gc.enable()
            signal.signal(signal.SIGINT, signal.default_int_handler)
        (entrypoint,) = entrypoints
        return entrypoint()

    config = {**config_of(stack), **{f"stellaops-storage:{key}": value for key, value in changes.items()}}
    return record(program, config), protected


@pytest.mark.parametrize("stack", ["local", "dev", "staging", "prod"])
def test_every_stack_runs_the_whole_program(stack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, _ = run(stack, monkeypatch)
    assert len(recorder.of("schema:Schema")) == 11 and len(recorder.of("objectstore:Bucket")) == 5
    assert len(recorder.of("bucketVersioning:BucketVersioning")) == 5
    servers = recorder.of("apps/v1:StatefulSet")
    assert list(servers) == ["valkey"]
    assert servers["valkey"]["spec"]["replicas"] == (3 if stack == "prod" else 1)


@pytest.mark.parametrize("stack", ["local", "dev", "staging", "prod"])
def test_every_key_of_a_stack_is_declared_and_typed(stack: str) -> None:
    file = yaml.safe_load((ROOT / "stacks" / f"Pulumi.{stack}.yaml").read_text())["config"]
    kinds = {"string": str, "integer": int, "boolean": bool}
    for key, value in file.items():
        name = key.removeprefix("stellaops-storage:")
        assert name in PROJECT["config"], f"{key} would be ignored without a word"
        assert isinstance(value, kinds[PROJECT["config"][name]["type"]]), key


def test_prod_protects_database_schemas_owner_roles_and_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    _, protected = run("prod", monkeypatch)
    for name, value in protected.items():
        kept = any(kind in name for kind in KEPT) or ("role:Role" in name and name.endswith("_owner"))
        assert value == kept, f"{name} {'could be deleted by mistake' if kept else 'could never be changed'}"


def test_only_prod_protects(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not any(run("dev", monkeypatch)[1].values())


def test_nothing_is_lost_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, _ = run("dev", monkeypatch)
    assert not any(schema["dropCascade"] for schema in recorder.of("schema:Schema").values())
    assert not any(bucket["forceDestroy"] for bucket in recorder.of("objectstore:Bucket").values())


def test_every_resource_with_a_provider_names_an_explicit_one(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, _ = run("local", monkeypatch)
    loose = [
        resource.name
        for resource in recorder.resources
        if resource.type.startswith(("postgresql:", "aws:", "kubernetes:", *(kind.token for kind in KINDS)))
        and "pulumi:providers:" not in resource.provider
    ]
    assert not loose, f"these would slip to a default provider: {loose}"


def test_buckets_of_a_shared_object_store_carry_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, _ = run("dev", monkeypatch, bucketPrefix="dev-")
    assert {bucket["bucket"] for bucket in recorder.of("objectstore:Bucket").values()} == {
        "dev-blobs", "dev-images", "dev-evidence", "dev-offline-kits", "dev-backups",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("kubernetesMode", "clustre", "must be one of cluster, render, none"),
        ("valkeyApply", "indirect", "must be one of none, direct"),
        ("postgresHost", "", "postgresHost is missing; run: pulumi config set"),
    ],
)
def test_wrong_config_names_the_key_and_the_remedy(
    monkeypatch: pytest.MonkeyPatch, key: str, value: str, words: str
) -> None:
    with pytest.raises(pulumi.RunError, match=words):
        run("local", monkeypatch, **{key: value})


def test_an_unknown_tenant_isolation_is_refused_with_the_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROJECT["config"], "postgres:tenantIsolation", {"value": "rls"})
    with pytest.raises(
        pulumi.RunError, match="postgres:tenantIsolation is 'rls'; it must be one of off, row-level-security"
    ):
        run("local", monkeypatch)


def test_a_broken_mapping_stops_the_program_before_anything_is_registered(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "schema-mapping.yaml"
    broken.write_text((ROOT / "schema-mapping.yaml").read_text().replace("reads: [vex]", "reads: [vexx]", 1))
    registered: list[Any] = []

    def remember(_: Recorder, args: Any) -> tuple[None, dict[str, Any]]:
        registered.append(args)
        return None, {}

    monkeypatch.setattr(Recorder, "new_resource", remember)
    with pytest.raises(pulumi.RunError, match=r'schema-mapping\.yaml:\d+:\d+ .*did you mean "vex"\?'):
        run("local", monkeypatch, mapping=str(broken))
    assert [args.typ for args in registered if args.typ != "pulumi:pulumi:Stack"] == []


def test_prod_tells_its_services_where_to_ask_for_the_primary(monkeypatch: pytest.MonkeyPatch) -> None:
    from components.config.model import Settings
    from components.contract import document as contract

    found: dict[str, contract.Endpoints] = {}

    def program() -> None:
        found["here"] = contract.endpoints(Settings.load())

    monkeypatch.chdir(ROOT)
    record(program, config_of("prod"))
    sentinel = found["here"].valkey.sentinel
    assert sentinel is not None, "services would write to whichever server the Service picks"
    assert (sentinel.host, sentinel.port) == ("valkey.stellaops-prod.svc.cluster.local", 26379)
    record(program, config_of("dev"))
    assert found["here"].valkey.sentinel is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"valkeyReplicas": "1"}, r"valkeyReplicas is 1; it must be 0, or at least 2"),
        ({"valkeyServiceMonitor": "true"}, r"valkeyServiceMonitor needs the exporter"),
        ({"valkeyImage": "valkey/valkey"}, r"valkeyImage is 'valkey/valkey'; it must be name:version"),
        ({"valkeyImage": "valkey/valkey:latest"}, r"must be name:version"),
        ({"valkeyImageDigest": "sha256:12"}, r"valkeyImageDigest is 'sha256:12'; it must be sha256: and 64"),
    ],
)
def test_a_setting_that_cannot_work_is_named_with_what_to_do(changes: dict[str, str], said: str) -> None:
    from components.config.load import SettingsError
    from components.config.model import Settings

    config = {**config_of("dev"), **{f"stellaops-storage:{key}": value for key, value in changes.items()}}

    def program() -> None:
        Settings.load()

    with pytest.raises(SettingsError, match=said):
        record(program, config)
