"""Users and policies on the object store, by its admin API: in RustFS's own dialect, else in MinIO's.

Both have the same commands, below ``/rustfs/admin/v3`` in plain JSON, below ``/minio/admin/v3`` with bodies encrypted
by the secret key. ``connect`` asks for the first and takes the second where that is not known.
"""

import json
import os
import re
import time
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import quote, urlencode, urlsplit

from components.rustfs.policy_documents import Document
from provider.errors import ProviderError
from provider.rustfs.store import ATTEMPTS, TIMEOUT_SECONDS, Store, clock_remedy

FIRST_WAIT_SECONDS = 0.05  # doubles each time, as in ``store``
UNKNOWN_PATH = ("NoSuchBucket", "NoSuchKey", "NotImplemented", "MethodNotAllowed")
NO_SUCH = ("NoSuchUser", "NoSuchPolicy", "XMinioAdminNoSuchUser", "XMinioAdminNoSuchPolicy", "NoSuchEntity")


class RefusedError(Exception):
    """The server's answer to a command: HTTP ``status``, S3-style ``code``, what it says, and its ``Date`` header."""

    def __init__(self, status: int, code: str, text: str, date: str = "") -> None:
        super().__init__(f"{code or status} {text}".strip())
        self.status = status
        self.code = code
        self.date = date


class Admin(Protocol):
    """The commands that are needed. Raises ``ProviderError``; removing what is gone is no error."""

    def users(self) -> dict[str, dict[str, Any]]:
        """Access key -> ``status`` (enabled or disabled), ``policyName`` (divided by commas), ``memberOf``."""

    def policies(self) -> dict[str, Document]:
        """Name -> document, of every policy on the server."""

    def put_user(self, access_key: str, secret_key: str) -> None:
        """Create the user, enabled, or give it another secret key."""

    def put_policy(self, name: str, document: Document) -> None: ...

    def attach(self, access_key: str, policy: str) -> None:
        """Let ``policy`` be the user's only one."""

    def remove_user(self, access_key: str) -> None: ...

    def remove_policy(self, name: str) -> None: ...


def connect(store: Store) -> Admin:
    """The admin API of whatever answers at the store's endpoint. Raises ``ProviderError``."""
    native = RustfsAdmin(store)
    try:
        native.request("GET", "list-users")
    except RefusedError as refused:
        if refused.status == 404 or refused.code in UNKNOWN_PATH:
            return MinioAdmin(store)
        raise _error(store, "list-users", refused) from None
    return native


class _Commands:
    """The commands, by ``_ask``: one request, which raises ``RefusedError`` for an answer that is none of success."""

    _store: Store

    def _run(self, name: str, ask: Callable[[], Any], *, gone_is_success: bool = False) -> Any:
        try:
            return ask()
        except RefusedError as refused:
            if gone_is_success and (refused.code in NO_SUCH or refused.status == 404):
                return None
            raise _error(self._store, name, refused) from None


class RustfsAdmin(_Commands):
    """RustFS's own dialect: plain JSON, signed as an S3 request."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def users(self) -> dict[str, dict[str, Any]]:
        return dict(self._command("GET", "list-users") or {})

    def policies(self) -> dict[str, Document]:
        return dict(self._command("GET", "list-canned-policies") or {})

    def put_user(self, access_key: str, secret_key: str) -> None:
        self._command("PUT", "add-user", {"secretKey": secret_key, "status": "enabled"}, accessKey=access_key)

    def put_policy(self, name: str, document: Document) -> None:
        self._command("PUT", "add-canned-policy", document, name=name)

    def attach(self, access_key: str, policy: str) -> None:
        names = {"policyName": policy, "userOrGroup": access_key, "isGroup": "false"}
        self._command("PUT", "set-user-or-group-policy", **names)

    def remove_user(self, access_key: str) -> None:
        # RustFS answers an unknown user with an internal error.
        if access_key in self.users():
            self._command("DELETE", "remove-user", accessKey=access_key)

    def remove_policy(self, name: str) -> None:
        if name in self.policies():
            self._command("DELETE", "remove-canned-policy", name=name)

    def _command(self, method: str, command: str, body: Any = None, **query: str) -> Any:
        return self._run(command, lambda: self.request(method, command, body, **query))

    def request(self, method: str, command: str, body: Any = None, **query: str) -> Any:
        """One command; its JSON answer, or None. Raises ``RefusedError``, and ``ProviderError`` when nobody answers."""
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials
        from botocore.exceptions import BotoCoreError
        from botocore.httpsession import URLLib3Session

        path = f"{self._store.endpoint.rstrip('/')}/rustfs/admin/v3/{command}"
        url = f"{path}?{urlencode(query, quote_via=quote)}" if query else path
        data = b"" if body is None else json.dumps(body).encode()
        session = URLLib3Session(verify=os.environ.get("AWS_CA_BUNDLE") or True, timeout=TIMEOUT_SECONDS)
        signer = S3SigV4Auth(Credentials(self._store.access_key, self._store.secret_key), "s3", self._store.region)

        def send() -> Any:
            request = AWSRequest(method, url, data=data, headers={"Content-Type": "application/json"})
            signer.add_auth(request)
            return session.send(request.prepare())

        try:
            answer = _steadily(send, lambda answer: answer.status_code)
        except (BotoCoreError, ValueError) as error:
            raise _unreachable(self._store, error) from None
        finally:
            session.close()
        if answer.status_code not in (200, 204):
            raise _refused(answer.status_code, answer.text, answer.headers.get("date", ""))
        return json.loads(answer.content) if answer.content.strip() else None


class MinioAdmin(_Commands):
    """MinIO's dialect, by its own library, which encrypts what is secret."""

    def __init__(self, store: Store) -> None:
        from minio import MinioAdmin as Library
        from minio.credentials.providers import StaticProvider

        self._store = store
        url = urlsplit(store.endpoint)
        self._library = Library(
            endpoint=url.netloc,
            credentials=StaticProvider(store.access_key, store.secret_key),
            region=store.region,
            secure=url.scheme == "https",
            http_client=_pool(),
        )

    def users(self) -> dict[str, dict[str, Any]]:
        return dict(self._command(self._library.user_list) or {})

    def policies(self) -> dict[str, Document]:
        return dict(self._command(self._library.policy_list) or {})

    def put_user(self, access_key: str, secret_key: str) -> None:
        self._command(self._library.user_add, access_key=access_key, secret_key=secret_key)

    def put_policy(self, name: str, document: Document) -> None:
        self._command(self._library.policy_add, policy_name=name, policy=document)

    def attach(self, access_key: str, policy: str) -> None:
        self._command(self._library.policy_set, policy_name=policy, user=access_key)

    def remove_user(self, access_key: str) -> None:
        self._command(self._library.user_remove, gone_is_success=True, access_key=access_key)

    def remove_policy(self, name: str) -> None:
        self._command(self._library.policy_remove, gone_is_success=True, policy_name=name)

    def _command(self, method: Callable[..., str], *, gone_is_success: bool = False, **arguments: Any) -> Any:
        return self._run(method.__name__, lambda: self._ask(method, arguments), gone_is_success=gone_is_success)

    def _ask(self, method: Callable[..., str], arguments: dict[str, Any]) -> Any:
        from minio.error import MinioAdminException
        from urllib3.exceptions import HTTPError

        try:
            answer = method(**arguments)
        except MinioAdminException as error:
            raise _refused(int(error._code), error._body) from None  # noqa: SLF001 - it has no other way to say it
        except HTTPError as error:
            raise _unreachable(self._store, error) from None
        return json.loads(answer) if answer.strip() else None


def _pool() -> Any:
    """Connections that ask again on 5xx, as often and as patiently as the S3 client does."""
    from certifi import where
    from urllib3 import PoolManager, Retry, Timeout

    return PoolManager(
        timeout=Timeout(connect=TIMEOUT_SECONDS, read=TIMEOUT_SECONDS),
        cert_reqs="CERT_REQUIRED",
        ca_certs=os.environ.get("AWS_CA_BUNDLE") or where(),
        retries=Retry(
            total=ATTEMPTS - 1,
            backoff_factor=FIRST_WAIT_SECONDS,
            status_forcelist=range(500, 600),
            allowed_methods=None,
        ),
    )


def _steadily(send: Callable[[], Any], status: Callable[[Any], int]) -> Any:
    """Ask again on 5xx and lost connections, never after a time-out, with waits that double; as the S3 client does."""
    from botocore.exceptions import BotoCoreError, ConnectTimeoutError, ReadTimeoutError

    for attempt in range(ATTEMPTS):
        last = attempt == ATTEMPTS - 1
        try:
            answer = send()
        except (ConnectTimeoutError, ReadTimeoutError):
            raise
        except BotoCoreError:
            if last:
                raise
        else:
            if status(answer) < 500 or last:
                return answer
        time.sleep(FIRST_WAIT_SECONDS * 2**attempt)
    raise AssertionError("the last attempt returns or raises")


def _refused(status: int, body: str, date: str = "") -> RefusedError:
    """From an error's body: XML in S3's form, or JSON with the same names."""
    try:
        fields = json.loads(body)
        code, text = str(fields.get("Code", "")), str(fields.get("Message", ""))
    except (ValueError, AttributeError):
        found = [re.search(rf"<{name}>(.*?)</{name}>", body, re.DOTALL) for name in ("Code", "Message")]
        code, text = (match[1] if match else "" for match in found)
    return RefusedError(status, code, " ".join(text.split()), date)


def _unreachable(store: Store, error: Exception) -> ProviderError:
    """Nobody answers at the endpoint."""
    text = " ".join(str(error).split())
    todo = "see that it runs and that stellaops-storage:objectStoreEndpoint is right"
    return ProviderError(f"admin API of the object store at {store.endpoint}: {text}; {todo}")


def _error(store: Store, command: str, refused: RefusedError) -> ProviderError:
    where = f"admin API of the object store at {store.endpoint}: {command} failed: {refused}"
    if clock := clock_remedy(refused.date):
        return ProviderError(f"{where}; {clock}")
    if refused.status in (401, 403):
        keys = "stellaops-storage:objectStoreAccessKey and objectStoreSecretKey"
        return ProviderError(f"{where}; set {keys} to a key that may manage users and policies")
    return ProviderError(f"{where}; see the server's log")
