"""The offline kubernetes plugin: objects rendered into files."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from provider.base.values import UNKNOWN, Secret, has_secret, reveal
from tests.provider.base.harness import PluginClient, Props, Resource, plugin, said

CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
SECRET = "kubernetes:core/v1:Secret"
STATEFUL_SET = "kubernetes:apps/v1:StatefulSet"
NAMESPACE = "kubernetes:core/v1:Namespace"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "rendered"


@pytest.fixture
def client(directory: Path) -> Iterator[PluginClient]:
    with plugin("kubernetes") as client:
        client.configure(renderYamlToDirectory=str(directory), namespace="stellaops")
        yield client


def config_map(**data: str) -> Props:
    return {"metadata": {"name": "conf", "labels": {"a": "b"}}, "data": {"valkey.conf": "a 1\nb 2\n", **data}}


def refreshed(client: PluginClient, resource: Resource) -> Resource:
    found = client.refresh(resource)
    assert found is not None, "the file is there"
    return found


def test_an_object_becomes_a_private_file_where_the_official_plugin_puts_it(
    client: PluginClient, directory: Path
) -> None:
    made = client.create(CONFIG_MAP, config_map())
    assert made.id == "stellaops/conf"
    file = directory / "1-manifest" / "v1-configmap-stellaops-conf.yaml"
    assert file.stat().st_mode & 0o777 == 0o600 and directory.stat().st_mode & 0o777 == 0o700
    expected = {
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"valkey.conf": "a 1\nb 2\n"},
        "metadata": {"name": "conf", "namespace": "stellaops", "labels": {"a": "b"}},
    }  # fmt: skip
    assert yaml.safe_load(file.read_text()) == expected
    assert "  valkey.conf: |\n" in file.read_text(), "a configuration file must be readable in its manifest"
    assert {key: made.outputs[key] for key in expected} == expected
    assert made.outputs["__inputs"] == expected, "the official plugin prunes what it compares by these"


def test_groups_kinds_and_definitions_have_their_places(client: PluginClient, directory: Path) -> None:
    client.create(STATEFUL_SET, {"metadata": {"name": "db"}, "spec": {}})
    client.create("kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition", {"metadata": {"name": "x.y"}})
    assert client.create(NAMESPACE, {"metadata": {"name": "stellaops"}}).id == "stellaops", "it lies in no namespace"
    assert sorted(str(file.relative_to(directory)) for file in directory.rglob("*.yaml")) == [
        "0-crd/apiextensions.k8s.io_v1-customresourcedefinition-default-x.y.yaml",
        "1-manifest/apps_v1-statefulset-stellaops-db.yaml",
        "1-manifest/v1-namespace-default-stellaops.yaml",
    ]


def test_no_change_is_found_right_after_and_after_refresh(client: PluginClient) -> None:
    made = client.create(CONFIG_MAP, config_map())
    assert client.diff(made, config_map()).detailed == {}
    again = refreshed(client, made)
    assert client.diff(again, config_map()).detailed == {} and again.inputs == made.inputs


def test_refresh_finds_a_file_that_was_edited_spoiled_or_removed(client: PluginClient, directory: Path) -> None:
    made = client.create(CONFIG_MAP, config_map())
    (file,) = directory.rglob("*.yaml")
    file.write_text(file.read_text().replace("a: b", "a: c"))
    found = refreshed(client, made)
    assert client.diff(found, config_map()).detailed == {"metadata.labels.a": "UPDATE"}
    client.update(found, config_map())
    assert client.diff(refreshed(client, made), config_map()).detailed == {}
    file.write_text("{ no yaml")
    assert "data" in client.diff(refreshed(client, made), config_map()).detailed
    file.unlink()
    assert client.refresh(made) is None


def test_an_update_in_place_and_a_replacement_are_told_apart(client: PluginClient) -> None:
    spec = {"serviceName": "h", "replicas": 1, "template": {"spec": {"containers": [{"name": "a", "image": "x:1"}]}}}
    made = client.create(STATEFUL_SET, {"metadata": {"name": "db"}, "spec": spec})
    newer = {**spec, "replicas": 2, "template": {"spec": {"containers": [{"name": "a", "image": "x:2"}]}}}
    difference = client.diff(made, {"metadata": {"name": "db"}, "spec": newer})
    assert difference.detailed == {"spec.replicas": "UPDATE", "spec.template.spec.containers[0].image": "UPDATE"}
    assert difference.replaces == []
    other = client.diff(made, {"metadata": {"name": "db"}, "spec": {**spec, "serviceName": "i"}})
    assert other.detailed == {"spec.serviceName": "UPDATE_REPLACE"} and other.delete_before_replace
    renamed = client.diff(made, {"metadata": {"name": "db2"}, "spec": spec})
    assert renamed.detailed == {"metadata.name": "UPDATE_REPLACE"} and not renamed.delete_before_replace


def test_a_config_map_is_replaced_unless_the_provider_says_that_it_is_mutable(
    client: PluginClient, directory: Path
) -> None:
    made = client.create(CONFIG_MAP, config_map())
    assert client.diff(made, config_map(more="x")).detailed == {"data.more": "ADD_REPLACE"}
    with plugin("kubernetes") as mutable:
        mutable.configure(renderYamlToDirectory=str(directory), namespace="stellaops", enableConfigMapMutable="true")
        assert mutable.diff(made, config_map(more="x")).detailed == {"data.more": "ADD"}


def test_keys_with_dots_are_quoted_in_paths(client: PluginClient) -> None:
    made = client.create(CONFIG_MAP, config_map())
    changed = {**config_map(), "data": {"valkey.conf": "other"}}
    assert list(client.diff(made, changed).detailed) == ['data["valkey.conf"]']


def test_a_secret_is_encoded_as_a_server_would_and_masked_in_the_state(client: PluginClient, directory: Path) -> None:
    given = {"metadata": {"name": "acl"}, "stringData": {"users.acl": Secret("user x #abc")}}
    inputs, _ = client.check(SECRET, given)
    assert "stringData" not in inputs and isinstance(inputs["data"], Secret)
    made = client.create(SECRET, given)
    assert "data" in made.secret
    (file,) = directory.rglob("*.yaml")
    assert base64.b64decode(yaml.safe_load(file.read_text())["data"]["users.acl"]) == b"user x #abc"
    assert file.stat().st_mode & 0o777 == 0o600
    assert client.diff(refreshed(client, made), given).detailed == {}
    raw = client.stub.Read(_read_request(made))
    assert "YWJj" not in str(raw).replace(base64.b64encode(b"user x #abc").decode(), ""), "sanity"
    assert has_secret(_decoded(raw.properties)["data"]) and has_secret(_decoded(raw.properties)["__inputs"]["data"])
    assert has_secret(_decoded(raw.inputs)["data"]), "refresh must not lay the secret open in the inputs"


def _read_request(resource: Resource) -> Any:
    from pulumi.runtime.proto import provider_pb2

    from provider.base.values import encode
    from tests.provider.base.harness import urn

    return provider_pb2.ReadRequest(
        urn=urn(resource.token), id=resource.id, properties=encode(resource.outputs), inputs=encode(resource.inputs)
    )


def _decoded(struct: Any) -> Props:
    from provider.base.values import decode

    return decode(struct)


def test_a_secret_elsewhere_stays_a_secret_at_its_place(client: PluginClient) -> None:
    made = client.create(CONFIG_MAP, {"metadata": {"name": "c"}, "data": {"open": "x", "hidden": Secret("y")}})
    inputs, _ = client.check(CONFIG_MAP, {"metadata": {"name": "c"}, "data": {"open": "x", "hidden": Secret("y")}})
    assert inputs["data"] == {"open": "x", "hidden": Secret("y")} and reveal(made.outputs["data"])["hidden"] == "y"


def test_a_preview_writes_nothing(client: PluginClient, directory: Path) -> None:
    planned = client.create(CONFIG_MAP, {"metadata": {"name": "conf"}, "data": {"x": UNKNOWN}}, preview=True)
    assert (
        planned.id == "" and planned.outputs["data"] == {"x": UNKNOWN} and planned.outputs["metadata"]["name"] == "conf"
    )
    assert not directory.exists()


def test_state_that_the_official_plugin_made_shows_no_change(client: PluginClient) -> None:
    inputs, _ = client.check(CONFIG_MAP, config_map())
    notes = {
        "__initialApiVersion": "v1",
        "__fieldManager": "pulumi-kubernetes-1",
        "__inputs": inputs,
        "id": "stellaops/conf",
    }
    assert client.diff(Resource(CONFIG_MAP, "stellaops/conf", inputs, {**inputs, **notes}), config_map()).detailed == {}


def test_an_unknown_value_shows_as_a_change(client: PluginClient) -> None:
    made = client.create(CONFIG_MAP, config_map())
    assert list(client.diff(made, {**config_map(), "data": {"valkey.conf": UNKNOWN}}).detailed) == [
        'data["valkey.conf"]'
    ]


def test_a_missing_name_is_made_once(client: PluginClient) -> None:
    first, _ = client.check(CONFIG_MAP, {"data": {}}, name="conf")
    assert first["metadata"]["name"].startswith("conf-")
    assert first["metadata"]["annotations"] == {"pulumi.com/autonamed": "true"}
    second, _ = client.check(CONFIG_MAP, {"data": {}}, old=first, name="conf")
    assert second["metadata"]["name"] == first["metadata"]["name"]


def test_the_wrong_kind_and_a_generated_name_are_refused(client: PluginClient) -> None:
    _, failures = client.check(CONFIG_MAP, {"kind": "Secret", "metadata": {"generateName": "x"}})
    assert failures == [
        "kind: kind of a ConfigMap is 'ConfigMap', not 'Secret'",
        "metadata.generateName: is not supported when rendering; set metadata.name",
    ]


def test_an_object_is_imported_from_its_file_and_deleted_twice(client: PluginClient, directory: Path) -> None:
    made = client.create(CONFIG_MAP, config_map())
    imported = client.imported(CONFIG_MAP, "stellaops/conf")
    assert imported is not None and client.diff(imported, config_map()).detailed == {}
    client.delete(made)
    client.delete(made)
    assert not list(directory.rglob("*.yaml")) and client.imported(CONFIG_MAP, "stellaops/conf") is None


def test_without_a_directory_it_says_that_it_only_renders() -> None:
    with plugin("kubernetes") as client:
        client.configure(namespace="stellaops")
        with pytest.raises(grpc.RpcError) as caught:
            client.create(CONFIG_MAP, config_map(), preview=True)
        assert "only renders manifests" in said(caught.value) and "official plugin" in said(caught.value)


def test_a_directory_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with plugin("kubernetes") as client:
        client.configure(renderYamlToDirectory=str(tmp_path / "file"))
        with pytest.raises(grpc.RpcError) as caught:
            client.create(CONFIG_MAP, config_map())
        assert "cannot write" in said(caught.value) and "renderYamlToDirectory" in said(caught.value)


def test_what_is_no_object_needs_the_official_plugin(client: PluginClient) -> None:
    for token in ("kubernetes:helm.sh/v3:Release", "kubernetes:yaml/v2:ConfigFile", "kubernetes:core/v1:SecretList"):
        with pytest.raises(grpc.RpcError) as caught:
            client.check(token, {})
        assert "official plugin" in said(caught.value)
