"""``review publish``: post a comment on a pull request, or update the existing one, and create the labels that it names.

The existing comment is the oldest one that has one of the hidden markers and that the same account wrote. GitHub's
settings come from ``GITHUB_TOKEN``, ``GITHUB_REPOSITORY`` and ``GITHUB_API_URL``; GitLab's from ``REVIEW_TOKEN``,
``CI_PROJECT_ID`` and ``CI_API_V4_URL``.
"""

import argparse
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tools.review.errors import ReviewError

PER_PAGE = 100
TIMEOUT_SECONDS = 30
# The author of comments posted with a workflow's GITHUB_TOKEN, which cannot query its own user.
WORKFLOW_ACCOUNT = "github-actions[bot]"
LABEL_COLOR = "b60205"  # red
LABEL_DESCRIPTION = "Approves one change of the stores"
EXISTS_ALREADY = 422  # GitHub's answer to a label of that name
_MARKER = re.compile(r"^<!-- stellaops-storage review: \S+ -->$", re.MULTILINE)


class _StatusError(ReviewError):
    """The server answered with an error; ``status`` is HTTP's."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Forge:
    """The comment API of one forge.

    ``comments`` is the URL that lists and creates comments, ``comment`` the URL of a single comment without its ID, and
    ``update_method`` the HTTP method that updates it. ``author`` is the account that posts the comments. ``labels`` is the
    URL that creates a label; it is empty where a label is created when it is first used.
    """

    headers: dict[str, str]
    comments: str
    comment: str
    update_method: str
    author: str
    labels: str = ""

    @staticmethod
    def github(number: int) -> "Forge":
        api = os.environ.get("GITHUB_API_URL", "https://api.github.com")
        repository = f"{api}/repos/{quote(_variable('GITHUB_REPOSITORY'))}"
        headers = {"Authorization": f"Bearer {_variable('GITHUB_TOKEN')}", "Accept": "application/vnd.github+json"}
        comments = f"{repository}/issues/{number}/comments"
        return Forge(
            headers, comments, f"{repository}/issues/comments", "PATCH", WORKFLOW_ACCOUNT, f"{repository}/labels"
        )

    @staticmethod
    def gitlab(number: int) -> "Forge":
        api, headers = _variable("CI_API_V4_URL"), {"PRIVATE-TOKEN": _variable("REVIEW_TOKEN")}
        user = _call("GET", f"{api}/user", headers)
        notes = f"{api}/projects/{quote(_variable('CI_PROJECT_ID'), safe='')}/merge_requests/{number}/notes"
        return Forge(headers, notes, notes, "PUT", str(user.get("username", "")))

    def existing(self, markers: set[str]) -> dict[str, Any] | None:
        """The oldest comment of this account with one of ``markers``."""
        for comment in self._all():
            author = comment.get("user") or comment.get("author") or {}
            if (author.get("login") or author.get("username")) != self.author:
                continue
            if markers & set(_MARKER.findall(str(comment.get("body", "")).replace("\r\n", "\n"))):
                return comment
        return None

    def _all(self) -> Iterator[dict[str, Any]]:
        page = 1
        while True:
            found = _call(
                "GET",
                f"{self.comments}?per_page={PER_PAGE}&page={page}&sort=asc&order_by=created_at",
                self.headers,
            )
            if not isinstance(found, list):
                raise ReviewError(f"{self.comments} did not return a list of comments")
            yield from found
            if len(found) < PER_PAGE:
                return
            page += 1

    def publish(self, body: str) -> str:
        """Create or update the comment; return ``created``, ``updated`` or ``unchanged``."""
        markers = set(_MARKER.findall(body))
        if not markers:
            raise ReviewError("the comment has no marker; pass a file that `python3 -m tools review --output` wrote")
        existing = self.existing(markers)
        if existing is None:
            _call("POST", self.comments, self.headers, {"body": body})
            return "created"
        if str(existing.get("body", "")).replace("\r\n", "\n").strip() == body.strip():
            return "unchanged"
        _call(self.update_method, f"{self.comment}/{existing['id']}", self.headers, {"body": body})
        return "updated"

    def create_labels(self, names: Iterable[str]) -> int:
        """Create the labels that do not exist. Return their number."""
        created = 0
        for name in names if self.labels else ():
            label = {"name": name, "color": LABEL_COLOR, "description": LABEL_DESCRIPTION}
            try:
                _call("POST", self.labels, self.headers, label)
            except _StatusError as error:
                if error.status != EXISTS_ALREADY:
                    raise
            else:
                created += 1
        return created


def needed_labels(report: Path) -> list[str]:
    """The labels that the changes in a report of ``review --json`` need. Raises ``ReviewError``."""
    try:
        document = json.loads(report.read_text(encoding="utf-8"))
        changes = [change for stack in document["stacks"] for change in stack["changes"]]
        return sorted({str(change["label"]) for change in changes if change["label"]})
    except OSError as error:
        raise ReviewError(f"{report} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise ReviewError(
            f"{report} is not a report; pass the file that `python3 -m tools review --json` wrote"
        ) from None


def _variable(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise ReviewError(f"{name} is not set; set it as docs/review.md describes")
    return value


def _call(method: str, url: str, headers: dict[str, str], body: dict[str, str] | None = None) -> Any:
    """Send a request and parse the JSON response. Raises ``ReviewError`` with method, URL and the server's message."""
    if not url.startswith(("https://", "http://")):
        raise ReviewError(f"{url} is not the URL of an API; it must begin with https:// or http://")
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310 - checked above
        url,
        data,
        {**headers, "Content-Type": "application/json", "User-Agent": "stellaops-storage-review"},
        method=method,
    )
    address = url.partition("?")[0]
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310
            return json.loads(response.read() or b"null")
    except urllib.error.HTTPError as error:
        remedy = "; give the job the permission pull-requests: write" if error.code in (401, 403) else ""
        text = f"{method} {address} returned {error.code}: {_message(error)}{remedy}"
        raise _StatusError(text, error.code) from None
    except (OSError, ValueError) as error:
        raise ReviewError(f"{method} {address} failed: {getattr(error, 'reason', error)}") from None


def _message(error: urllib.error.HTTPError) -> str:
    try:
        response = json.loads(error.read())
        return str(response.get("message", error.reason)) if isinstance(response, dict) else str(error.reason)
    except (OSError, ValueError):
        return str(error.reason)


def run(options: argparse.Namespace) -> int:
    """Create or update the comment; return exit code 0. Raises ``ReviewError``."""
    try:
        body = options.comment.read_text(encoding="utf-8")
    except OSError as error:
        raise ReviewError(f"{options.comment} cannot be read: {error.strerror}") from None
    forge = (Forge.github if options.forge == "github" else Forge.gitlab)(options.number)
    if options.report is not None and (created := forge.create_labels(needed_labels(options.report))):
        print(f"{created} label{'' if created == 1 else 's'} created")
    print(f"comment {forge.publish(body)}")
    return 0
