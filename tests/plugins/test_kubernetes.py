"""The offline kubernetes plugin: objects as files, and what was done to those files is found."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from local.plugins.values import UNKNOWN
from tests.plugins.harness import PluginClient, plugin, said

CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
SECRET = "kubernetes:core/v1:Secret"
STATEFUL_SET = "kubernetes:apps/v1:StatefulSet"


@pytest.fixture(scope="module")
def client() -> Iterator[PluginClient]:
    with plugin("kubernetes") as client:
        yield client


@pytest.fixture
def directory(client: PluginClient, tmp_path: Path) -> Path:
    client.configure(renderYamlToDirectory=str(tmp_path / "out"), namespace="stellaops")
    return tmp_path / "out"


def config_map(**changes: Any) -> dict[str, Any]:
    metadata = {"name": "conf", "namespace": "ns", "labels": {"a": "b"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"k": "v"}, **changes}


def test_an_object_becomes_a_file_that_kubectl_takes(client: PluginClient, directory: Path) -> None:
    id_, outputs, _ = client.create(CONFIG_MAP, config_map())
    file = directory / "1-manifest" / "v1-configmap-ns-conf.yaml"
    assert id_ == "ns/conf" and yaml.safe_load(file.read_text()) == config_map()
    assert client.diff(CONFIG_MAP, id_, outputs, config_map()).detailed == {}


def test_a_secret_is_readable_by_its_owner_alone(client: PluginClient, directory: Path) -> None:
    client.create(SECRET, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"p": "x"}})
    file = directory / "1-manifest" / "v1-secret-stellaops-s.yaml"
    assert file.stat().st_mode & 0o777 == 0o600
    assert yaml.safe_load(file.read_text())["metadata"]["namespace"] == "stellaops", (
        "the provider's namespace is the default"
    )


def test_a_preview_writes_nothing(client: PluginClient, directory: Path) -> None:
    client.create(CONFIG_MAP, config_map(data={"k": UNKNOWN}), preview=True)
    assert not directory.exists()


def test_a_change_is_told_down_to_the_field_and_made_in_place(client: PluginClient, directory: Path) -> None:
    old = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "v", "namespace": "ns"},
        "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "c", "image": "a"}]}}},
    }
    new = {**old, "spec": {"replicas": 2, "template": {"spec": {"containers": [{"name": "c", "image": "b"}]}}}}
    id_, state, _ = client.create(STATEFUL_SET, old)
    difference = client.diff(STATEFUL_SET, id_, state, new)
    assert difference.detailed == {"spec.replicas": "UPDATE", "spec.template.spec.containers[0].image": "UPDATE"}
    assert difference.replaces == []
    assert client.diff(STATEFUL_SET, id_, state, new, ignore=("spec.replicas",)).detailed.keys() == {
        "spec.template.spec.containers[0].image"
    }
    client.update(STATEFUL_SET, id_, state, new)
    assert (
        yaml.safe_load((directory / "1-manifest" / "apps_v1-statefulset-ns-v.yaml").read_text())["spec"]["replicas"]
        == 2
    )


def test_state_of_the_official_plugin_shows_no_change(client: PluginClient, directory: Path) -> None:
    state = config_map(__initialApiVersion="v1", __fieldManager="pulumi-kubernetes-1")
    assert client.diff(CONFIG_MAP, "ns/conf", state, config_map()).detailed == {}


def test_another_name_is_another_object(client: PluginClient, directory: Path) -> None:
    changed = config_map(metadata={"name": "other", "namespace": "ns", "labels": {"a": "b"}})
    difference = client.diff(CONFIG_MAP, "ns/conf", config_map(), changed)
    assert difference.detailed == {"metadata.name": "UPDATE_REPLACE"} and difference.replaces == ["metadata.name"]


def test_refresh_finds_an_edited_and_a_removed_file(client: PluginClient, directory: Path) -> None:
    id_, state, _ = client.create(CONFIG_MAP, config_map())
    file = directory / "1-manifest" / "v1-configmap-ns-conf.yaml"
    file.write_text(file.read_text().replace("k: v", "k: edited"))
    _, found, _ = client.read(CONFIG_MAP, id_, state, config_map())
    assert client.diff(CONFIG_MAP, id_, found, config_map()).detailed == {"data.k": "UPDATE"}
    file.unlink()
    assert client.read(CONFIG_MAP, id_, state)[0] == ""


def test_a_file_is_imported_by_namespace_and_name(client: PluginClient, directory: Path) -> None:
    client.create(CONFIG_MAP, config_map())
    id_, _, inputs = client.read(CONFIG_MAP, "ns/conf")
    assert id_ == "ns/conf" and inputs["data"] == {"k": "v"}


def test_deleting_removes_the_file_and_again_is_no_error(client: PluginClient, directory: Path) -> None:
    id_, state, _ = client.create(CONFIG_MAP, config_map())
    client.delete(CONFIG_MAP, id_, state)
    client.delete(CONFIG_MAP, id_, state)
    assert list((directory / "1-manifest").iterdir()) == []


def test_an_object_without_a_name_is_refused(client: PluginClient, directory: Path) -> None:
    assert "metadata.name is missing" in client.check(CONFIG_MAP, {"metadata": {"labels": {}}})[1][0]


def test_a_directory_that_cannot_be_written_is_one_line(client: PluginClient, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    client.configure(renderYamlToDirectory=str(tmp_path / "file"))
    with pytest.raises(grpc.RpcError) as caught:
        client.create(CONFIG_MAP, config_map())
    assert "cannot be written" in said(caught.value) and "kubernetesRenderDirectory" in said(caught.value)


def test_a_cluster_needs_the_official_plugin_and_it_says_so(client: PluginClient) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client.configure(namespace="x")
    assert "install the official plugin, or set kubernetesMode to render" in said(caught.value)
