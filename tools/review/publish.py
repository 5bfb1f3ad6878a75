"""``review publish``: post a comment on a pull request, or update the one that is there.

The comment is found by its hidden markers: one that carries a marker of ours, written by the same account. GitHub's
settings come from ``GITHUB_TOKEN``, ``GITHUB_REPOSITORY`` and ``GITHUB_API_URL``; GitLab's from ``REVIEW_TOKEN``,
``CI_PROJECT_ID`` and ``CI_API_V4_URL``.
"""

import argparse
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tools.review.errors import ReviewError

PER_PAGE = 100
TIMEOUT_SECONDS = 30
# Where the token cannot ask who it is: a workflow's own token.
WORKFLOW_ACCOUNT = "github-actions[bot]"
_MARKER = re.compile(r"^<!-- stellaops-storage review: \S+ -->$", re.MULTILINE)


@dataclass(frozen=True)
class Forge:
    """How one forge keeps comments. ``comments`` lists them and takes new ones, ``one`` is the address of one."""

    headers: dict[str, str]
    comments: str
    one: str
    renew: str
    author: str

    @staticmethod
    def github(number: int) -> "Forge":
        api = os.environ.get("GITHUB_API_URL", "https://api.github.com")
        repository = f"{api}/repos/{quote(_variable('GITHUB_REPOSITORY'))}"
        headers = {"Authorization": f"Bearer {_variable('GITHUB_TOKEN')}", "Accept": "application/vnd.github+json"}
        comments = f"{repository}/issues/{number}/comments"
        return Forge(headers, comments, f"{repository}/issues/comments", "PATCH", WORKFLOW_ACCOUNT)

    @staticmethod
    def gitlab(number: int) -> "Forge":
        api, headers = _variable("CI_API_V4_URL"), {"PRIVATE-TOKEN": _variable("REVIEW_TOKEN")}
        user = _call("GET", f"{api}/user", headers)
        notes = f"{api}/projects/{quote(_variable('CI_PROJECT_ID'), safe='')}/merge_requests/{number}/notes"
        return Forge(headers, notes, notes, "PUT", str(user.get("username", "")))

    def existing(self, markers: set[str]) -> dict[str, Any] | None:
        """The oldest comment of ours with one of ``markers``."""
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
                f"{self.comments}?per_page={PER_PAGE}&page={page}&sort=created_at&order_by=created_at",
                self.headers,
            )
            if not isinstance(found, list):
                raise ReviewError(f"{self.comments} did not answer with a list of comments")
            yield from found
            if len(found) < PER_PAGE:
                return
            page += 1

    def publish(self, body: str) -> str:
        """Create the comment or renew it in place; what was done, in a word."""
        markers = set(_MARKER.findall(body))
        if not markers:
            raise ReviewError("the comment has no marker; give one that `python -m tools review` wrote")
        found = self.existing(markers)
        if found is None:
            _call("POST", self.comments, self.headers, {"body": body})
            return "made"
        if str(found.get("body", "")).replace("\r\n", "\n").strip() == body.strip():
            return "already there"
        _call(self.renew, f"{self.one}/{found['id']}", self.headers, {"body": body})
        return "renewed"


def _variable(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise ReviewError(f"{name} is not set; the workflow gives it")
    return value


def _call(method: str, url: str, headers: dict[str, str], body: dict[str, str] | None = None) -> Any:
    """The answer's JSON. Raises ``ReviewError`` with the method, the address and what the server said."""
    if not url.startswith(("https://", "http://")):
        raise ReviewError(f"{url} is no address of an API")
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310 - checked above
        url,
        data,
        {**headers, "Content-Type": "application/json", "User-Agent": "stellaops-storage-review"},
        method=method,
    )
    place = url.partition("?")[0]
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        said = _message(error)
        todo = "; give the job the permission pull-requests: write" if error.code in (401, 403) else ""
        raise ReviewError(f"{method} {place} was answered with {error.code}: {said}{todo}") from None
    except (OSError, ValueError) as error:
        raise ReviewError(f"{method} {place} failed: {getattr(error, 'reason', error)}") from None


def _message(error: urllib.error.HTTPError) -> str:
    try:
        answer = json.loads(error.read())
        return str(answer.get("message", error.reason)) if isinstance(answer, dict) else str(error.reason)
    except (OSError, ValueError):
        return str(error.reason)


def run(options: argparse.Namespace) -> int:
    """Post the comment or update it; exit code 0. Raises ``ReviewError``."""
    try:
        body = options.comment.read_text(encoding="utf-8")
    except OSError as error:
        raise ReviewError(f"{options.comment} cannot be read: {error.strerror}") from None
    forge = (Forge.github if options.forge == "github" else Forge.gitlab)(options.number)
    print(f"comment {forge.publish(body)}")
    return 0
