"""Manage users and policies with the object store's admin API, in RustFS's or MinIO's form.

Both have the same commands: RustFS under ``/rustfs/admin/v3`` in plain JSON, MinIO under ``/minio/admin/v3`` with
bodies that are encrypted with the secret key. ``connect`` tries the first, and uses the second if the path is unknown.
"""

import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol
from urllib.parse import quote, urlencode, urlsplit

from components.rustfs.policy_documents import Document
from provider.errors import ProviderError
from provider.rustfs.store import ATTEMPTS, TIMEOUT_SECONDS, Store, clock_remedy

FIRST_WAIT_SECONDS = 0.05  # doubles after each attempt, as in ``store``
UNKNOWN_PATH = ("NoSuchBucket", "NoSuchKey", "NotImplemented", "MethodNotAllowed")
BULK = "list-access-keys-bulk"
BULK_OF_ALL = {"all": "true", "listType": "svcacc-only"}
NO_SUCH = ("NoSuchUser", "NoSuchPolicy", "XMinioAdminNoSuchUser", "XMinioAdminNoSuchPolicy", "NoSuchEntity")


class RefusedError(Exception):
    """An error response to a command: HTTP ``status``, S3-style ``code``, message, and ``Date`` header."""

    def __init__(self, status: int, code: str, text: str, date: str = "") -> None:
        super().__init__(f"{code or status} {text}".strip())
        self.status = status
        self.code = code
        self.date = date


@dataclass(frozen=True)
class Group:
    """A group of users. ``policies`` are names; they apply to the members if the group is enabled."""

    name: str
    enabled: bool
    policies: tuple[str, ...]

    @staticmethod
    def of(answer: dict[str, Any]) -> "Group":
        policies = str(answer.get("policy") or "").split(",")
        return Group(str(answer["name"]), answer.get("status") != "disabled", tuple(filter(None, policies)))


@dataclass(frozen=True)
class ServiceAccount:
    """A further access key of the user ``parent``. ``policy`` limits the parent's; None: it may do what the parent may."""

    access_key: str
    parent: str
    enabled: bool
    policy: Document | None


class Admin(Protocol):
    """The commands that the provider and ``drift`` use. Raises ``ProviderError``, but not for removing what does not exist."""

    def users(self) -> dict[str, dict[str, Any]]:
        """Return access key -> ``status`` (enabled or disabled), ``policyName`` (comma-separated), ``memberOf``."""

    def policies(self) -> dict[str, Document]:
        """Return name -> document of every policy on the server."""

    def groups(self) -> dict[str, Group]:
        """Return every group by its name."""

    def service_accounts(self) -> list[ServiceAccount]:
        """Return the service accounts of all users, root included."""

    def leave_group(self, access_key: str, group: str) -> None: ...

    def put_user(self, access_key: str, secret_key: str) -> None:
        """Create an enabled user, or enable an existing one and change its secret key."""

    def put_policy(self, name: str, document: Document) -> None: ...

    def attach(self, access_key: str, policy: str) -> None:
        """Make ``policy`` the user's only policy."""

    def remove_user(self, access_key: str) -> None: ...

    def remove_policy(self, name: str) -> None: ...


def connect(store: Store) -> Admin:
    """Return the admin API that the server at the store's endpoint supports. Raises ``ProviderError``."""
    native = RustfsAdmin(store)
    try:
        native.request("GET", "list-users")
    except RefusedError as refused:
        if refused.status == 404 or refused.code in UNKNOWN_PATH:
            return MinioAdmin(store)
        raise _error(store, "list-users", refused) from None
    return native


class _Commands:
    """Run commands and turn ``RefusedError`` into ``ProviderError``."""

    _store: Store

    def _run(self, name: str, send: Callable[[], Any], *, ignore_missing: bool = False) -> Any:
        try:
            return send()
        except RefusedError as refused:
            if ignore_missing and (refused.code in NO_SUCH or refused.status == 404):
                return None
            raise _error(self._store, name, refused) from None


def _service_accounts(listed: dict[str, Any], describe: Callable[[str], Any]) -> list[ServiceAccount]:
    """``listed`` is the response of ``BULK``; ``describe`` returns the details of a service account."""
    keys = {
        str(item["accessKey"]): parent
        for parent, item_list in sorted(listed.items())
        for item in item_list.get("serviceAccounts") or []
    }
    return [_service_account(key, parent, describe(key) or {}) for key, parent in keys.items()]


def _service_account(key: str, parent: str, details: dict[str, Any]) -> ServiceAccount:
    policy = None if details.get("impliedPolicy") or not details.get("policy") else json.loads(details["policy"])
    return ServiceAccount(key, parent, details.get("accountStatus") not in ("off", "disabled"), policy)


class RustfsAdmin(_Commands):
    """RustFS's admin API: plain JSON, signed like an S3 request."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def users(self) -> dict[str, dict[str, Any]]:
        return dict(self._command("GET", "list-users") or {})

    def policies(self) -> dict[str, Document]:
        return dict(self._command("GET", "list-canned-policies") or {})

    def groups(self) -> dict[str, Group]:
        names = self._command("GET", "groups") or []
        return {name: Group.of(self._command("GET", "group", group=name)) for name in names}

    def service_accounts(self) -> list[ServiceAccount]:
        def describe(key: str) -> Any:
            return self._command("GET", "info-service-account", accessKey=key)

        return _service_accounts(self._command("GET", BULK, **BULK_OF_ALL) or {}, describe)

    def leave_group(self, access_key: str, group: str) -> None:
        change = {"group": group, "members": [access_key], "groupStatus": "enabled", "isRemove": True}
        self._command("PUT", "update-group-members", change)

    def put_user(self, access_key: str, secret_key: str) -> None:
        self._command("PUT", "add-user", {"secretKey": secret_key, "status": "enabled"}, accessKey=access_key)

    def put_policy(self, name: str, document: Document) -> None:
        self._command("PUT", "add-canned-policy", document, name=name)

    def attach(self, access_key: str, policy: str) -> None:
        names = {"policyName": policy, "userOrGroup": access_key, "isGroup": "false"}
        self._command("PUT", "set-user-or-group-policy", **names)

    def remove_user(self, access_key: str) -> None:
        # RustFS reports an internal error if the user does not exist.
        if access_key in self.users():
            self._command("DELETE", "remove-user", accessKey=access_key)

    def remove_policy(self, name: str) -> None:
        if name in self.policies():
            self._command("DELETE", "remove-canned-policy", name=name)

    def _command(self, method: str, command: str, body: Any = None, **query: str) -> Any:
        return self._run(command, lambda: self.request(method, command, body, **query))

    def request(self, method: str, command: str, body: Any = None, **query: str) -> Any:
        """Send a command and return its JSON response, or None if it is empty.

        Raises ``RefusedError`` for an error response, ``ProviderError`` if the server is unreachable.
        """
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
            response = _send_with_retries(send, lambda response: response.status_code)
        except (BotoCoreError, ValueError) as error:
            raise _unreachable(self._store, error) from None
        finally:
            session.close()
        if response.status_code not in (200, 204):
            raise _refused(response.status_code, response.text, response.headers.get("date", ""))
        return json.loads(response.content) if response.content.strip() else None


class MinioAdmin(_Commands):
    """MinIO's admin API, with MinIO's library, which encrypts request bodies."""

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

    def groups(self) -> dict[str, Group]:
        names = self._command(self._library.group_list) or []
        return {name: Group.of(self._command(self._library.group_info, group_name=name)) for name in names}

    def service_accounts(self) -> list[ServiceAccount]:
        def describe(key: str) -> Any:
            return self._command(self._library.get_service_account, access_key=key)

        return _service_accounts(self._command(self.list_access_keys) or {}, describe)

    def list_access_keys(self) -> str:
        """Return the response of ``BULK``. The library has no method for this command, and its own would need a request per user."""
        from minio.crypto import decrypt

        response = self._library._url_open(  # noqa: SLF001
            method="GET",
            command=SimpleNamespace(value=BULK),  # type: ignore[arg-type]
            query_params=dict(BULK_OF_ALL),
            preload_content=False,
        )
        return decrypt(response, self._store.secret_key).decode()

    def leave_group(self, access_key: str, group: str) -> None:
        # The server expects a list, unlike the library's type.
        self._command(self._library.group_remove, group_name=group, members=[access_key])

    def put_user(self, access_key: str, secret_key: str) -> None:
        self._command(self._library.user_add, access_key=access_key, secret_key=secret_key)

    def put_policy(self, name: str, document: Document) -> None:
        self._command(self._library.policy_add, policy_name=name, policy=document)

    def attach(self, access_key: str, policy: str) -> None:
        self._command(self._library.policy_set, policy_name=policy, user=access_key)

    def remove_user(self, access_key: str) -> None:
        self._command(self._library.user_remove, ignore_missing=True, access_key=access_key)

    def remove_policy(self, name: str) -> None:
        self._command(self._library.policy_remove, ignore_missing=True, policy_name=name)

    def _command(self, method: Callable[..., str], *, ignore_missing: bool = False, **arguments: Any) -> Any:
        return self._run(method.__name__, lambda: self._call(method, arguments), ignore_missing=ignore_missing)

    def _call(self, method: Callable[..., str], arguments: dict[str, Any]) -> Any:
        from minio.error import MinioAdminException
        from urllib3.exceptions import HTTPError

        try:
            response = method(**arguments)
        except MinioAdminException as error:
            raise _refused(int(error._code), error._body) from None  # noqa: SLF001 - it has no public attributes
        except HTTPError as error:
            raise _unreachable(self._store, error) from None
        return json.loads(response) if response.strip() else None


def _pool() -> Any:
    """Return a connection pool that retries after 5xx, as often and with the same waits as the S3 client."""
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


def _send_with_retries(send: Callable[[], Any], status: Callable[[Any], int]) -> Any:
    """Retry after 5xx and lost connections, but not after a time-out, with doubling waits, like the S3 client."""
    from botocore.exceptions import BotoCoreError, ConnectTimeoutError, ReadTimeoutError

    for attempt in range(ATTEMPTS):
        last = attempt == ATTEMPTS - 1
        try:
            response = send()
        except (ConnectTimeoutError, ReadTimeoutError):
            raise
        except BotoCoreError:
            if last:
                raise
        else:
            if status(response) < 500 or last:
                return response
        time.sleep(FIRST_WAIT_SECONDS * 2**attempt)
    raise AssertionError("the last attempt returns or raises")


def _refused(status: int, body: str, date: str = "") -> RefusedError:
    """Parse an error's body: S3's XML, or JSON with the same names."""
    try:
        fields = json.loads(body)
        code, text = str(fields.get("Code", "")), str(fields.get("Message", ""))
    except (ValueError, AttributeError):
        matches = [re.search(rf"<{name}>(.*?)</{name}>", body, re.DOTALL) for name in ("Code", "Message")]
        code, text = (match[1] if match else "" for match in matches)
    return RefusedError(status, code, " ".join(text.split()), date)


def _unreachable(store: Store, error: Exception) -> ProviderError:
    text = " ".join(str(error).split())
    remedy = "check that it runs and that stellaops-storage:objectStoreEndpoint is right"
    return ProviderError(f"admin API of the object store at {store.endpoint}: {text}; {remedy}")


def _error(store: Store, command: str, refused: RefusedError) -> ProviderError:
    failure = f"admin API of the object store at {store.endpoint}: {command} failed: {refused}"
    if clock := clock_remedy(refused.date):
        return ProviderError(f"{failure}; {clock}")
    if refused.status in (401, 403):
        keys = "stellaops-storage:objectStoreAccessKey and objectStoreSecretKey"
        return ProviderError(f"{failure}; set {keys} to a key that may manage users and policies")
    return ProviderError(f"{failure}; see the server's log")
