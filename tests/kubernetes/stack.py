"""A stack of Valkey alone on a real API server, with the engine and the official Kubernetes plugin."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.kubernetes.cluster import Cluster
from tools.pulumi_cli import PulumiCli, Result

ROOT = Path(__file__).parents[2]
NO_CHANGES = "--expect-no-changes"

# The component as the program makes it, without the other stores.
PROGRAM = """
import pulumi
from components import providers
from components.mapping import load
from components.config.model import Settings
from components.resources.credentials import Credential
from components.valkey.component import ValkeyArgs, ValkeyComponent

settings = Settings.load()
mapping = load(settings.mapping)
stellaops = providers.stellaops(settings)
opts = pulumi.ResourceOptions(provider=stellaops)
ValkeyComponent(
    "valkey",
    ValkeyArgs(
        provider=stellaops,
        mapping=mapping, settings=settings.valkey, kubernetes=settings.kubernetes,
        kubernetes_provider=providers.cluster(settings.kubernetes), deployment=settings.valkey_deployment,
        credentials={
            name: Credential(name, user=name, rotate=user.rotate, opts=opts) for name, user in mapping.users.items()
        },
        protect=settings.protect, allow_data_loss=settings.allow_data_loss,
    ),
)
"""
SECRETS = {
    "valkeyAdminPassword": "admin-of-the-test",
    "postgresAdminPassword": "none",
    "objectStoreAccessKey": "none",
    "objectStoreSecretKey": "none",
}
CONFIG = {
    "valkeyHost": "valkey",
    "kubernetesMode": "cluster",
    "kubernetesWait": False,  # nothing runs pods here
    # Of the other stores, which are not touched.
    "postgresHost": "none",
    "objectStoreEndpoint": "http://none",
}


@dataclass
class KubernetesStack:
    directory: Path
    pulumi: Path
    environment: dict[str, str]
    cluster: Cluster
    namespace: str

    def create(self, **config: Any) -> None:
        """The project with its stack; ``mapping`` is a copy that tests may edit."""
        project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
        project.pop("stackConfigDir")
        project["plugins"]["providers"][0]["path"] = str(ROOT / "provider")
        (self.directory / "Pulumi.yaml").write_text(yaml.safe_dump(project))
        (self.directory / "__main__.py").write_text(PROGRAM)
        self.mapping.write_text((ROOT / "schema-mapping.yaml").read_text())
        self.environment = {**self.environment, "PYTHONPATH": str(ROOT), "KUBECONFIG": str(self.cluster.kubeconfig)}
        self.must("stack", "init", self.namespace)
        for key, value in SECRETS.items():
            self.must("config", "set", "--secret", key, value, f"--stack={self.namespace}")
        self.configure(kubernetesNamespace=self.namespace, **CONFIG, **config)

    @property
    def mapping(self) -> Path:
        return self.directory / "schema-mapping.yaml"

    def configure(self, **config: Any) -> None:
        """Change the stack's config; None takes a key out."""
        file = self.directory / f"Pulumi.{self.namespace}.yaml"
        content = yaml.safe_load(file.read_text())
        changed = {f"stellaops-storage:{key}": value for key, value in config.items()}
        merged = {**content["config"], **changed}
        content["config"] = {key: value for key, value in merged.items() if value is not None}
        file.write_text(yaml.safe_dump(content))

    def run(self, *arguments: str) -> Result:
        return PulumiCli(self.pulumi, self.environment, self.directory).run(*arguments, timeout=300)

    def must(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.exit_code == 0, f"`pulumi {' '.join(arguments)}` failed:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def refresh(self) -> Result:
        """Exit code 0 when nothing differs from what was asked for."""
        return self.run("refresh", "--yes", "--skip-preview", NO_CHANGES, f"--stack={self.namespace}")

    def destroy(self) -> str:
        return self.must("destroy", "--yes", "--skip-preview", f"--stack={self.namespace}")

    def up(self) -> str:
        return self.must("up", "--yes", "--skip-preview", f"--stack={self.namespace}")

    def planned(self) -> dict[str, str]:
        """What an ``up`` would do: "Kind name" -> operation, of each resource that would change."""
        document = json.loads(self.must("preview", "--json", f"--stack={self.namespace}"))
        found = {}
        for step in document["steps"]:
            *_, kind, name = step["urn"].replace("::", ":").split(":")
            if step["op"] not in ("same", "read"):
                found[f"{kind} {name}"] = step["op"]
        return found

    def objects(self) -> list[dict[str, Any]]:
        """The stack's Kubernetes objects as they were asked for, secrets in clear."""
        exported = json.loads(self.must("stack", "export", "--show-secrets", f"--stack={self.namespace}"))
        found: list[dict[str, Any]] = exported["deployment"].get("resources", [])
        asked = [item["inputs"] for item in found if item["type"].startswith("kubernetes:")]
        return [_plain({key: value for key, value in item.items() if not key.startswith("__")}) for item in asked]


def _plain(value: Any) -> Any:
    """Without the wrapping that marks values as secret."""
    if isinstance(value, dict):
        if "4dabf18193072939515e22adb298388d" in value:
            return json.loads(value["plaintext"])
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
