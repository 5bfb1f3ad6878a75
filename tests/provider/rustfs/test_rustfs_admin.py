"""RustFS's own admin dialect, by the shape of its requests: a recorder answers as RustFS's source says, no RustFS runs.

Whether a RustFS takes them is shown by the integration tests, where there is one.
"""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from provider.errors import ProviderError
from provider.rustfs import admin
from provider.rustfs.store import ATTEMPTS, Store

SECRET = "root-secret-key"
USERS = {"scanner": {"policyName": "scanner", "status": "enabled", "memberOf": []}}
POLICIES = {"scanner": {"Version": "2012-10-17", "Statement": []}}


class Recorder(BaseHTTPRequestHandler):
    """Keeps each request; ``failures`` requests are answered with 503 first, then all with ``status``."""

    requests: list[dict[str, Any]]
    failures = 0
    status = 200
    body = b""
    answers: ClassVar[dict[str, Any]] = {}

    def _answer(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = {key: value for key, (value,) in parse_qs(url.query).items()}
        self.requests.append(
            {
                "method": self.command,
                "path": url.path,
                "query": query,
                "body": body,
                "headers": dict(self.headers),
                "url": self.path,
            }
        )
        if len(self.requests) <= self.failures:
            self._send(503, b"")
        elif url.path.endswith("/list-users") and self.status == 200:
            self._send(200, json.dumps(USERS).encode())
        elif url.path.endswith("/list-canned-policies"):
            self._send(200, json.dumps(POLICIES).encode())
        elif (command := url.path.rpartition("/")[2]) in self.answers:
            self._send(200, json.dumps(self.answers[command]).encode())
        else:
            self._send(self.status, self.body)

    do_GET = do_PUT = do_DELETE = _answer  # noqa: N815 - the base class looks for these names

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def recorder() -> Iterator[tuple[type[Recorder], Store]]:
    class Own(Recorder):
        requests: list[dict[str, Any]] = []  # noqa: RUF012 - one recorder a test

    with ThreadingHTTPServer(("127.0.0.1", 0), Own) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield Own, Store(f"http://127.0.0.1:{server.server_port}", "us-east-1", "root", SECRET)
        server.shutdown()


def test_the_native_dialect_is_taken_where_it_is_known(recorder: tuple[type[Recorder], Store]) -> None:
    kept, store = recorder
    assert isinstance(admin.connect(store), admin.RustfsAdmin)
    (asked,) = kept.requests
    assert (asked["method"], asked["path"], asked["query"]) == ("GET", "/rustfs/admin/v3/list-users", {})


@pytest.mark.parametrize("code", ["NoSuchBucket", "NoSuchKey"])
def test_minios_dialect_is_taken_where_the_path_is_only_a_key(
    recorder: tuple[type[Recorder], Store], code: str
) -> None:
    kept, store = recorder
    kept.status, kept.body = 404, f"<Error><Code>{code}</Code></Error>".encode()
    assert isinstance(admin.connect(store), admin.MinioAdmin)


def test_each_command_has_rustfs_path_query_and_plain_json(recorder: tuple[type[Recorder], Store]) -> None:
    kept, store = recorder
    server = admin.RustfsAdmin(store)
    document = {"Version": "2012-10-17", "Statement": []}
    server.put_user("scanner", "module-secret")
    server.put_policy("scanner", document)
    server.attach("scanner", "scanner")
    server.remove_user("scanner")
    server.remove_policy("scanner")
    assert server.users() == USERS and server.policies() == POLICIES
    shapes = [(item["method"], item["path"].removeprefix("/rustfs/admin/v3/"), item["query"]) for item in kept.requests]
    assert shapes == [
        ("PUT", "add-user", {"accessKey": "scanner"}),
        ("PUT", "add-canned-policy", {"name": "scanner"}),
        ("PUT", "set-user-or-group-policy", {"policyName": "scanner", "userOrGroup": "scanner", "isGroup": "false"}),
        ("GET", "list-users", {}),
        ("DELETE", "remove-user", {"accessKey": "scanner"}),
        ("GET", "list-canned-policies", {}),
        ("DELETE", "remove-canned-policy", {"name": "scanner"}),
        ("GET", "list-users", {}),
        ("GET", "list-canned-policies", {}),
    ]
    assert json.loads(kept.requests[0]["body"]) == {"secretKey": "module-secret", "status": "enabled"}
    assert json.loads(kept.requests[1]["body"]) == document


GROUP = {"name": "staff", "status": "enabled", "members": ["scanner"], "policy": "readonly,custom"}
KEYS = {"scanner": {"serviceAccounts": [{"accessKey": "further"}], "stsKeys": []}, "root": {}}
DETAILS = {
    "parentUser": "scanner", "accountStatus": "on", "impliedPolicy": False, "policy": json.dumps(POLICIES["scanner"]),
}  # fmt: skip


def test_groups_and_service_accounts_are_read_with_rustfs_commands(recorder: tuple[type[Recorder], Store]) -> None:
    kept, store = recorder
    kept.answers = {
        "groups": ["staff"], "group": GROUP, "list-access-keys-bulk": KEYS, "info-service-account": DETAILS,
    }  # fmt: skip
    server = admin.RustfsAdmin(store)
    assert server.groups() == {"staff": admin.Group("staff", True, ("readonly", "custom"))}
    assert server.service_accounts() == [admin.ServiceAccount("further", "scanner", True, POLICIES["scanner"])]
    server.leave_group("scanner", "staff")
    shapes = [(item["method"], item["path"].removeprefix("/rustfs/admin/v3/"), item["query"]) for item in kept.requests]
    assert shapes == [
        ("GET", "groups", {}),
        ("GET", "group", {"group": "staff"}),
        ("GET", "list-access-keys-bulk", {"all": "true", "listType": "svcacc-only"}),
        ("GET", "info-service-account", {"accessKey": "further"}),
        ("PUT", "update-group-members", {}),
    ]
    change = {"group": "staff", "members": ["scanner"], "groupStatus": "enabled", "isRemove": True}
    assert json.loads(kept.requests[-1]["body"]) == change


def test_every_request_is_signed_for_s3_and_shows_no_key(recorder: tuple[type[Recorder], Store]) -> None:
    kept, store = recorder
    admin.RustfsAdmin(store).put_user("scanner", "module-secret")
    (sent,) = kept.requests
    assert SECRET not in repr(sent["headers"]) and SECRET not in sent["url"] and "module-secret" not in sent["url"]
    authorization = sent["headers"]["Authorization"]
    assert "/us-east-1/s3/aws4_request" in authorization
    # The same signature comes out for who knows the key, so that the server can check it.
    again = AWSRequest(
        "PUT", store.endpoint + sent["url"], data=sent["body"], headers={"Content-Type": "application/json"}
    )
    again.context["timestamp"] = sent["headers"]["X-Amz-Date"]
    again.headers["X-Amz-Date"] = sent["headers"]["X-Amz-Date"]
    again.headers["X-Amz-Content-SHA256"] = sent["headers"]["X-Amz-Content-SHA256"]
    signer = S3SigV4Auth(Credentials("root", SECRET), "s3", "us-east-1")
    canonical = signer.canonical_request(again)
    signature = signer.signature(signer.string_to_sign(again, canonical), again)
    assert authorization.endswith(f"Signature={signature}")


def test_a_server_that_stumbles_is_asked_again_and_one_that_fails_is_given_up(
    recorder: tuple[type[Recorder], Store],
) -> None:
    kept, store = recorder
    kept.failures = 2
    assert admin.RustfsAdmin(store).users() == USERS
    assert len(kept.requests) == 3
    kept.requests.clear()
    kept.failures = 1000
    with pytest.raises(ProviderError, match="503"):
        admin.RustfsAdmin(store).users()
    assert len(kept.requests) == ATTEMPTS


def test_a_key_that_is_no_admins_is_told_so(recorder: tuple[type[Recorder], Store]) -> None:
    kept, store = recorder
    kept.status, kept.body = 403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
    with pytest.raises(ProviderError, match="a key that may manage users") as caught:
        admin.connect(store)
    assert SECRET not in str(caught.value)
