"""A small S3 client: Signature Version 4, multipart uploads, path-style addressing.

Memory use is limited to one part, whatever the object's size.
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

PART_BYTES = 16 << 20  # 10,000 parts at most: objects of up to 156 GiB
CHUNK_BYTES = 1 << 20
ATTEMPTS = 6
FIRST_WAIT_SECONDS = 0.2
TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class ListedObject:
    """An object in a listing; ``modified`` is a time of the store's clock."""

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
    """One bucket. ``encryption`` is the value of ``x-amz-server-side-encryption``, or empty; ``ca_file`` a PEM file of
    additional certificate authorities, or empty. Every method raises ``BackupError`` if the store refuses a request or is
    unreachable."""

    endpoint: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)
    name: str
    encryption: str = ""
    ca_file: str = ""

    @staticmethod
    def of_environment() -> "BucketClient":
        """Read ``S3_*`` environment variables. Raises ``BackupError``, which names the missing ones."""
        needed = ("S3_ENDPOINT", "S3_ACCESS_KEY", "S3_SECRET_KEY", "S3_BUCKET")
        missing = [name for name in needed if not os.environ.get(name)]
        if missing:
            raise BackupError(f"{', '.join(missing)} not set; set them to the bucket for backups")
        endpoint, access_key, secret_key, name = (os.environ[variable] for variable in needed)
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
        """Upload ``chunks``. The object becomes visible when all of it is uploaded."""
        digest, size, upload = hashlib.sha256(), 0, ""
        tags: list[str] = []
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
                query = {"partNumber": str(len(tags) + 1), "uploadId": upload}
                tags.append(self._send("PUT", key, query, body=part).headers["ETag"])
            if upload:
                self._finish(key, upload, tags)
        except BaseException:
            if upload:
                self._abandon(key, upload)
            raise
        return Stored(size, digest.hexdigest())

    def get(self, key: str) -> Iterator[bytes]:
        """Read an object in chunks. Raises ``MissingError``."""
        answer = self._send("GET", key, stream=True)
        try:
            left = int(answer.headers.get("Content-Length", "-1"))
            while chunk := answer.response.read(CHUNK_BYTES):
                left -= len(chunk)
                yield chunk
        except (OSError, http.client.HTTPException) as error:
            raise BackupError(f"{self._place(key)} broke off: {error}; run again") from None
        finally:
            answer.connection.close()
        if left > 0:
            raise BackupError(f"{self._place(key)} broke off {left} bytes before its end; run again")

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
            answer = _xml(self._send("GET", "", query).body)
            for item in answer.iter("Contents"):
                modified = datetime.fromisoformat(item.findtext("LastModified", ""))
                yield ListedObject(item.findtext("Key", ""), int(item.findtext("Size", "0")), modified)
            token = answer.findtext("NextContinuationToken")
            if not token:
                return
            query = {**query, "continuation-token": token}

    def delete(self, key: str) -> None:
        """Delete an object. It is not an error if it does not exist."""
        self._send("DELETE", key)

    def _start(self, key: str, headers: dict[str, str]) -> str:
        return _xml(self._send("POST", key, {"uploads": ""}, headers=headers).body).findtext("UploadId", "")

    def _finish(self, key: str, upload: str, tags: list[str]) -> None:
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>" for number, tag in enumerate(tags, 1)
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        answer = self._send("POST", key, {"uploadId": upload}, body=body)
        # S3 may report a failure with status 200, because it sends blanks to keep the connection alive.
        if b"<Error>" in answer.body:
            raise BackupError(f"{self._place(key)}: {_said(200, answer.body)}; run again")

    def _abandon(self, key: str, upload: str) -> None:
        # The first error is the one to report; the bucket's lifecycle removes stale uploads.
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
    ) -> "_Answer":
        """Send a request; retry after a lost connection or a 5xx, with doubling waits."""
        for attempt in range(ATTEMPTS):
            last = attempt == ATTEMPTS - 1
            try:
                answer = self._once(method, key, query or {}, body, headers or {}, stream=stream)
            except ssl.SSLCertVerificationError as error:
                raise BackupError(f"{self.endpoint}: {error}; check that its certificate is trusted") from None
            except (OSError, http.client.HTTPException) as error:
                if last:
                    raise BackupError(f"{self.endpoint} can't be reached: {error}; check that it runs") from None
            else:
                if answer.status < 300:
                    return answer
                if answer.status == 404 and method in ("GET", "HEAD", "DELETE") and b"NoSuchBucket" not in answer.body:
                    raise MissingError(f"{self._place(key)} does not exist")
                if answer.status < 500 or last:
                    raise BackupError(f"{method} {self._place(key)}: {_said(answer.status, answer.body)}")
            time.sleep(FIRST_WAIT_SECONDS * 2**attempt)
        raise AssertionError("the last attempt returns or raises")

    def _once(
        self, method: str, key: str, query: Mapping[str, str], body: bytes, headers: Mapping[str, str], *, stream: bool
    ) -> "_Answer":
        url = urlsplit(self.endpoint)
        path = quote(f"/{self.name}/{key}" if key else f"/{self.name}", safe="/~")
        shown = "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in sorted(query.items()))
        connection, kept = self._connection(url.scheme, url.netloc), False
        try:
            signed = self._signed(method, url.netloc, path, shown, body, headers)
            connection.request(method, f"{path}?{shown}" if shown else path, body=body, headers=signed)
            response = connection.getresponse()
            if stream and response.status < 300:
                kept = True
                return _Answer(response.status, response.headers, b"", response, connection)
            return _Answer(response.status, response.headers, response.read(), response, connection)
        finally:
            if not kept:
                connection.close()

    def _connection(self, scheme: str, netloc: str) -> http.client.HTTPConnection:
        if scheme == "http":
            return http.client.HTTPConnection(netloc, timeout=TIMEOUT_SECONDS)
        return http.client.HTTPSConnection(netloc, timeout=TIMEOUT_SECONDS, context=trusted(self.ca_file))

    def _signed(
        self, method: str, host: str, path: str, query: str, body: bytes, headers: Mapping[str, str]
    ) -> dict[str, str]:
        now = datetime.now(UTC)
        day, moment = f"{now:%Y%m%d}", f"{now:%Y%m%dT%H%M%SZ}"
        digest = hashlib.sha256(body).hexdigest()
        every = {**headers, "host": host, "x-amz-content-sha256": digest, "x-amz-date": moment}
        names = sorted(every)
        listed = "".join(f"{name}:{every[name].strip()}\n" for name in names)
        canonical = "\n".join([method, path, query, listed, ";".join(names), digest])
        scope = f"{day}/{self.region}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        secret = f"AWS4{self.secret_key}".encode()
        for word in (day, self.region, "s3", "aws4_request"):
            secret = hmac.digest(secret, word.encode(), "sha256")
        signature = hmac.digest(secret, text.encode(), "sha256").hex()
        every["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope}, SignedHeaders={';'.join(names)}, Signature={signature}"
        )
        return every


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes
    response: http.client.HTTPResponse
    connection: http.client.HTTPConnection


def trusted(ca_file: str) -> ssl.SSLContext:
    """Return a context with the system's certificate authorities and those of ``ca_file``."""
    context = ssl.create_default_context()
    if ca_file and os.path.exists(ca_file):  # noqa: PTH110 - optional in the pod
        context.load_verify_locations(ca_file)
    return context


def _parts(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield each part and whether it is the last. All parts but the last have the same size; the last may be empty."""
    buffer = bytearray()
    for chunk in chunks:
        buffer += chunk
        while len(buffer) > PART_BYTES:
            yield bytes(buffer[:PART_BYTES]), False
            del buffer[:PART_BYTES]
    yield bytes(buffer), True


def _xml(body: bytes) -> ET.Element:
    """Parse a document and remove its namespace, which not all servers send."""
    root = ET.fromstring(body)  # noqa: S314 - from the object store that we signed for; expat bounds entities
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def _said(status: int, body: bytes) -> str:
    try:
        error = _xml(body)
        words = f"{error.findtext('Code', '')}, {error.findtext('Message', '')}".strip(", ")
    except ET.ParseError:
        words = ""
    return words or f"HTTP {status}"
