"""A small S3 client: Signature Version 4, multipart uploads, path-style addressing.

It keeps only one part in memory, independent of the object's size.
"""

import contextlib
import hashlib
import hmac
import http.client
import os
import ssl
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from .errors import BackupError

PART_BYTES = 16 << 20  # at most 10,000 parts, so an object has at most 156 GiB
CHUNK_BYTES = 1 << 20
ATTEMPTS = 6
FIRST_WAIT_SECONDS = 0.2
TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class ListedObject:
    """An object in a listing. ``modified`` is a time on the object store's clock."""

    key: str
    size: int
    modified: datetime


@dataclass(frozen=True)
class Stored:
    """An uploaded object: its size in bytes and its SHA-256 in hex."""

    size: int
    sha256: str


class MissingError(BackupError):
    """The object does not exist."""


@dataclass(frozen=True)
class BucketClient:
    """A bucket and its credentials. ``encryption``: the value of ``x-amz-server-side-encryption``, or empty.
    ``ca_file``: a PEM file of additional certificate authorities, or empty.

    Every method raises ``BackupError`` if the object store refuses a request or is unreachable.
    """

    endpoint: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)
    name: str
    encryption: str = ""
    ca_file: str = ""

    @staticmethod
    def from_environment() -> "BucketClient":
        """Read the environment variables ``S3_*`` and ``CA_FILE``. Raises ``BackupError``, which names missing ones."""
        required = ("S3_ENDPOINT", "S3_ACCESS_KEY", "S3_SECRET_KEY", "S3_BUCKET")
        missing = [name for name in required if not os.environ.get(name)]
        if missing:
            raise BackupError(f"{', '.join(missing)} not set; set them to the address and keys of the backup bucket")
        endpoint, access_key, secret_key, name = (os.environ[variable] for variable in required)
        return BucketClient(
            endpoint,
            os.environ.get("S3_REGION") or "us-east-1",
            access_key,
            secret_key,
            name,
            os.environ.get("S3_ENCRYPTION", ""),
            os.environ.get("CA_FILE", ""),
        )

    def put(self, key: str, chunks: Iterable[bytes], metadata: Mapping[str, str] | None = None) -> Stored:
        """Upload ``chunks`` as one object, which becomes visible when the upload is complete."""
        digest, size, upload = hashlib.sha256(), 0, ""
        etags: list[str] = []
        headers = {f"x-amz-meta-{name}": value for name, value in (metadata or {}).items()}
        if self.encryption:
            headers["x-amz-server-side-encryption"] = self.encryption
        try:
            for part, last in _parts(chunks):
                digest.update(part)
                size += len(part)
                if last and not upload:
                    self._send("PUT", key, body=part, headers=headers)
                    break
                if not upload:
                    upload = self._start(key, headers)
                query = {"partNumber": str(len(etags) + 1), "uploadId": upload}
                etags.append(self._send("PUT", key, query, body=part).headers["ETag"])
            if upload:
                self._complete(key, upload, etags)
        except BaseException:
            if upload:
                self._abort(key, upload)
            raise
        return Stored(size, digest.hexdigest())

    def get(self, key: str) -> Iterator[bytes]:
        """Read an object in chunks. Raises ``MissingError``."""
        reply = self._send("GET", key, stream=True)
        try:
            left = int(reply.headers.get("Content-Length", "-1"))
            while chunk := reply.response.read(CHUNK_BYTES):
                left -= len(chunk)
                yield chunk
        except (OSError, http.client.HTTPException) as error:
            raise BackupError(f"{self._place(key)}: the download was interrupted: {error}; run again") from None
        finally:
            reply.connection.close()
        if left > 0:
            raise BackupError(f"{self._place(key)}: the download ended {left} bytes too early; run again")

    def read(self, key: str) -> bytes:
        """Read a small object as a whole. Raises ``MissingError``."""
        return b"".join(self.get(key))

    def metadata(self, key: str) -> dict[str, str]:
        """Read the object's metadata (``x-amz-meta-*``). Raises ``MissingError``."""
        headers = self._send("HEAD", key).headers
        return {name[11:].lower(): value for name, value in headers.items() if name.lower().startswith("x-amz-meta-")}

    def objects(self, prefix: str) -> Iterator[ListedObject]:
        """List every object with ``prefix``, by key."""
        query = {"list-type": "2", "prefix": prefix}
        while True:
            listing = _xml(self._send("GET", "", query).body)
            for item in listing.iter("Contents"):
                modified = datetime.fromisoformat(item.findtext("LastModified", ""))
                yield ListedObject(item.findtext("Key", ""), int(item.findtext("Size", "0")), modified)
            token = listing.findtext("NextContinuationToken")
            if not token:
                return
            query = {**query, "continuation-token": token}

    def delete(self, key: str) -> None:
        """Delete an object. It is not an error if it does not exist."""
        self._send("DELETE", key)

    def _start(self, key: str, headers: dict[str, str]) -> str:
        return _xml(self._send("POST", key, {"uploads": ""}, headers=headers).body).findtext("UploadId", "")

    def _complete(self, key: str, upload: str, etags: list[str]) -> None:
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in enumerate(etags, 1)
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        reply = self._send("POST", key, {"uploadId": upload}, body=body)
        # S3 may report a failure with status 200, because it sends whitespace first to keep the connection alive.
        if b"<Error>" in reply.body:
            raise BackupError(f"{self._place(key)}: {_error_text(200, reply.body)}; run again")

    def _abort(self, key: str, upload: str) -> None:
        # Ignore errors, so that the first error is reported. The bucket's lifecycle rules abort stale uploads.
        with contextlib.suppress(BackupError):
            self._send("DELETE", key, {"uploadId": upload})

    def _place(self, key: str) -> str:
        return f"{self.endpoint}/{self.name}/{key}"

    def _send(
        self,
        method: str,
        key: str,
        query: Mapping[str, str] | None = None,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
    ) -> "_Reply":
        """Send a request. Retry after a lost connection or a 5xx, with doubling waits."""
        for attempt in range(ATTEMPTS):
            last = attempt == ATTEMPTS - 1
            try:
                reply = self._send_once(method, key, query or {}, body, headers or {}, stream=stream)
            except ssl.SSLCertVerificationError as error:
                raise BackupError(f"{self.endpoint}: {error}; check that its certificate is trusted") from None
            except (OSError, http.client.HTTPException) as error:
                if last:
                    raise BackupError(f"{self.endpoint} can't be reached: {error}; check that it runs") from None
            else:
                if reply.status < 300:
                    return reply
                if reply.status == 404 and method in ("GET", "HEAD", "DELETE") and b"NoSuchBucket" not in reply.body:
                    raise MissingError(f"{self._place(key)} does not exist")
                if reply.status < 500 or last:
                    raise BackupError(f"{method} {self._place(key)}: {_error_text(reply.status, reply.body)}")
            time.sleep(FIRST_WAIT_SECONDS * 2**attempt)
        raise AssertionError("the last attempt returns or raises")

    def _send_once(
        self, method: str, key: str, query: Mapping[str, str], body: bytes, headers: Mapping[str, str], *, stream: bool
    ) -> "_Reply":
        url = urlsplit(self.endpoint)
        path = quote(f"/{self.name}/{key}" if key else f"/{self.name}", safe="/~")
        encoded = "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in sorted(query.items()))
        connection, keep_open = self._connection(url.scheme, url.netloc), False
        try:
            signed = self._signed_headers(method, url.netloc, path, encoded, body, headers)
            connection.request(method, f"{path}?{encoded}" if encoded else path, body=body, headers=signed)
            response = connection.getresponse()
            if stream and response.status < 300:
                keep_open = True
                return _Reply(response.status, response.headers, b"", response, connection)
            return _Reply(response.status, response.headers, response.read(), response, connection)
        finally:
            if not keep_open:
                connection.close()

    def _connection(self, scheme: str, netloc: str) -> http.client.HTTPConnection:
        if scheme == "http":
            return http.client.HTTPConnection(netloc, timeout=TIMEOUT_SECONDS)
        return http.client.HTTPSConnection(netloc, timeout=TIMEOUT_SECONDS, context=trusted(self.ca_file))

    def _signed_headers(
        self, method: str, host: str, path: str, query: str, body: bytes, headers: Mapping[str, str]
    ) -> dict[str, str]:
        now = datetime.now(UTC)
        day, moment = f"{now:%Y%m%d}", f"{now:%Y%m%dT%H%M%SZ}"
        digest = hashlib.sha256(body).hexdigest()
        signed = {**headers, "host": host, "x-amz-content-sha256": digest, "x-amz-date": moment}
        names = sorted(signed)
        canonical_headers = "".join(f"{name}:{signed[name].strip()}\n" for name in names)
        canonical_request = "\n".join([method, path, query, canonical_headers, ";".join(names), digest])
        scope = f"{day}/{self.region}/s3/aws4_request"
        request_digest = hashlib.sha256(canonical_request.encode()).hexdigest()
        string_to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{request_digest}"
        signing_key = f"AWS4{self.secret_key}".encode()
        for part in (day, self.region, "s3", "aws4_request"):
            signing_key = hmac.digest(signing_key, part.encode(), "sha256")
        signature = hmac.digest(signing_key, string_to_sign.encode(), "sha256").hex()
        signed["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope}, SignedHeaders={';'.join(names)}, Signature={signature}"
        )
        return signed


@dataclass(frozen=True)
class _Reply:
    status: int
    headers: http.client.HTTPMessage
    body: bytes
    response: http.client.HTTPResponse
    connection: http.client.HTTPConnection


def trusted(ca_file: str) -> ssl.SSLContext:
    """Return a TLS context that trusts the system's certificate authorities and those in ``ca_file``."""
    context = ssl.create_default_context()
    if ca_file and os.path.exists(ca_file):  # noqa: PTH110 - optional in the pod
        context.load_verify_locations(ca_file)
    return context


def _parts(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield each part and whether it is the last. All others have the same size; only the part of an empty object is empty."""
    buffer = bytearray()
    for chunk in chunks:
        buffer += chunk
        while len(buffer) > PART_BYTES:
            yield bytes(buffer[:PART_BYTES]), False
            del buffer[:PART_BYTES]
    yield bytes(buffer), True


def _xml(body: bytes) -> ET.Element:
    """Parse a document and remove its namespace, which not all servers send."""
    root = ET.fromstring(body)  # noqa: S314 - from the configured object store; expat limits entities
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def _error_text(status: int, body: bytes) -> str:
    try:
        error = _xml(body)
        text = f"{error.findtext('Code', '')}, {error.findtext('Message', '')}".strip(", ")
    except ET.ParseError:
        text = ""
    return text or f"HTTP {status}"
