"""A Kubernetes API server with its etcd, on loopback: it checks and stores objects as any cluster's; nothing runs pods."""

import base64
import contextlib
import json
import secrets
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

START_SECONDS = 120
FIELD_MANAGER = "stellaops-test"


class ApiError(Exception):
    """What the API server refused, in its own words."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


@dataclass(frozen=True)
class Cluster:
    directory: Path
    port: int
    token: str

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def kubeconfig(self) -> Path:
        return self.directory / "kubeconfig"

    @property
    def authority(self) -> Path:
        # It signs its own certificate, which is its own authority then.
        return self.directory / "certificates" / "apiserver.crt"

    def call(self, method: str, path: str, document: Any = None, content_type: str = "application/json") -> Any:
        """The API server's answer. Raises ``ApiError``."""
        request = urllib.request.Request(f"{self.url}{path}", method=method)
        request.add_header("Authorization", f"Bearer {self.token}")
        request.add_header("Content-Type", content_type)
        body = None if document is None else json.dumps(document).encode()
        context = ssl.create_default_context(cafile=self.authority)
        try:
            with urllib.request.urlopen(request, data=body, context=context, timeout=30) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            said = error.read().decode()
            with contextlib.suppress(ValueError):
                said = json.loads(said).get("message", said)
            raise ApiError(error.code, said) from None
        with contextlib.suppress(ValueError):
            return json.loads(text)
        return text.decode()

    def collection(self, api_version: str, kind: str, namespace: str | None) -> str:
        """The path of all objects of a kind."""
        root = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
        plural = {"NetworkPolicy": "networkpolicies", "PriorityClass": "priorityclasses"}.get(kind, f"{kind.lower()}s")
        return f"{root}/namespaces/{namespace}/{plural}" if namespace else f"{root}/{plural}"

    def get(self, api_version: str, kind: str, namespace: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", f"{self.collection(api_version, kind, namespace)}/{name}")
        return found

    def all(self, api_version: str, kind: str, namespace: str | None) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.call("GET", self.collection(api_version, kind, namespace))["items"]
        return items

    def create(self, document: dict[str, Any], *, dry_run: bool = False) -> Any:
        """Create with strict field validation: an unknown or doubled field is an error."""
        metadata = document["metadata"]
        path = self.collection(document["apiVersion"], document["kind"], metadata.get("namespace"))
        query = f"fieldValidation=Strict&fieldManager={FIELD_MANAGER}"
        return self.call("POST", f"{path}?{query}{'&dryRun=All' if dry_run else ''}", document)

    def define(self, definition: dict[str, Any]) -> None:
        """Make a CustomResourceDefinition and wait until objects of it can be stored."""
        self.create(definition)
        spec = definition["spec"]
        path = f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}"
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.call("GET", path)
                return
            except ApiError as error:
                if error.code not in (404, 429) or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def namespace(self, name: str) -> str:
        """A namespace that admits only pods of the restricted standard."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        return name


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


@contextmanager
def _running(name: str, directory: Path, *command: str | Path) -> Iterator["subprocess.Popen[bytes]"]:
    with (directory / f"{name}.log").open("wb") as log:
        # It dies with us, even when we are killed.
        arguments = ["setpriv", "--pdeathsig=TERM", *[str(part) for part in command]]
        process = subprocess.Popen(arguments, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=directory)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _service_account_key(directory: Path) -> Path:
    """The API server does not start without one, though nobody uses it."""
    key = directory / "service-account.key"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    return key


@contextmanager
def cluster(directory: Path, etcd: Path, apiserver: Path) -> Iterator[Cluster]:
    """Both programs, until the API server is ready; stopped in any case."""
    client, peer, port = _free_ports(3)
    made = Cluster(directory, port, secrets.token_hex(16))
    (directory / "tokens.csv").write_text(f'{made.token},admin,admin,"system:masters"\n')
    key = _service_account_key(directory)
    client_url, peer_url = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
    with (
        _running(
            "etcd", directory, etcd, "--data-dir", directory / "etcd", "--listen-client-urls", client_url,
            "--advertise-client-urls", client_url, "--listen-peer-urls", peer_url,
            "--initial-advertise-peer-urls", peer_url, "--initial-cluster", f"default={peer_url}", "--unsafe-no-fsync",
        ),
        _running(
            "apiserver", directory, apiserver, "--etcd-servers", client_url, "--bind-address=127.0.0.1",
            "--secure-port", str(port), "--cert-dir", directory / "certificates", "--token-auth-file",
            directory / "tokens.csv", "--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24",
            "--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file", key,
            "--service-account-signing-key-file", key, "--disable-admission-plugins=ServiceAccount",
            # Nobody collects here: what is deleted is gone at once, instead of when what it owns is gone.
            "--enable-garbage-collector=false",
        ) as process,
    ):  # fmt: skip
        _wait(made, process)
        _write_kubeconfig(made)
        yield made


def _wait(made: Cluster, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            made.call("GET", "/readyz")
            return
        except (OSError, ApiError):
            if process.poll() is not None or time.monotonic() > deadline:
                log = (made.directory / "apiserver.log").read_text(errors="replace")[-3000:]
                raise RuntimeError(f"the API server did not start: {log}") from None
            time.sleep(0.2)


def _write_kubeconfig(made: Cluster) -> None:
    authority = base64.b64encode(made.authority.read_bytes()).decode()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": made.url, "certificate-authority-data": authority}}],
        "users": [{"name": "admin", "user": {"token": made.token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        "current-context": "test",
    }
    made.kubeconfig.write_text(yaml.safe_dump(document))
    made.kubeconfig.chmod(0o600)
