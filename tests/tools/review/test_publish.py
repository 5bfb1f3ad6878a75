"""Publishing against a server that speaks like GitHub's or GitLab's API."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tools.cli.main import dispatch
from tools.review.comment import marker
from tools.review.publish import WORKFLOW_ACCOUNT

BODY = f"verdict\n\n{marker('stellaops-storage', 'dev')}\n"


def main(arguments: list[str]) -> int:
    return dispatch(["review", "publish", *arguments])


class Forge(ThreadingHTTPServer):
    """Comments by number; ``status`` is what it answers instead, when set. ``asked`` are the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.comments: dict[int, dict[str, Any]] = {}
        self.asked: list[tuple[str, str]] = []
        self.status = 0
        self.tokens: set[str] = set()
        self.labels: set[str] = set()

    def add(self, body: str, login: str = WORKFLOW_ACCOUNT) -> int:
        number = len(self.comments) + 1
        self.comments[number] = {"id": number, "body": body, "user": {"login": login}, "author": {"username": login}}
        return number


class Handler(BaseHTTPRequestHandler):
    server: Forge

    def answer(self, status: int, content: Any) -> None:
        raw = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def handle_any(self) -> None:
        path, _, _ = self.path.partition("?")
        self.server.asked.append((self.command, path))
        self.server.tokens.add(self.headers.get("Authorization") or self.headers.get("PRIVATE-TOKEN") or "")
        if self.server.status:
            self.answer(self.server.status, {"message": "Resource not accessible by integration"})
        elif path == "/user":
            self.answer(200, {"username": WORKFLOW_ACCOUNT})
        elif (
            self.command == "GET"
            and (order := re.search(r"[?&]sort=(\w+)", self.path))
            and order[1] not in ("asc", "desc")
        ):
            self.answer(400, {"error": "sort does not have a valid value"})  # as GitLab
        elif self.command == "GET":
            page = int((re.search(r"[?&]page=(\d+)", self.path) or ["", "1"])[1])
            self.answer(200, list(self.server.comments.values())[(page - 1) * 100 : page * 100])
        elif path.endswith("/labels"):
            name = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["name"]
            self.answer(422 if name in self.server.labels else 201, {"message": "Validation Failed"})
            self.server.labels.add(name)
        else:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"]
            if self.command == "POST":
                self.answer(201, {"id": self.server.add(body)})
            else:
                self.server.comments[int(path.rpartition("/")[2])]["body"] = body
                self.answer(200, {})

    do_GET = do_POST = do_PATCH = do_PUT = handle_any  # noqa: N815 - the base class looks for these

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
        pass


@pytest.fixture
def forge(monkeypatch: pytest.MonkeyPatch) -> Iterator[Forge]:
    server = Forge()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    for name, value in {
        "GITHUB_API_URL": address, "GITHUB_REPOSITORY": "owner/name", "GITHUB_TOKEN": "t", "CI_API_V4_URL": address, "CI_PROJECT_ID": "7",
        "REVIEW_TOKEN": "t", "no_proxy": "127.0.0.1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def comment(tmp_path: Path) -> Path:
    file = tmp_path / "comment.md"
    file.write_text(BODY)
    return file


def publish(comment: Path, *more: str) -> int:
    return main([str(comment), "--number", "5", *more])


def test_the_first_run_makes_a_comment_and_the_next_renews_it(forge: Forge, comment: Path) -> None:
    assert publish(comment) == 0
    assert [item["body"] for item in forge.comments.values()] == [BODY]
    comment.write_text(BODY.replace("verdict", "another"))
    assert publish(comment) == 0
    assert [item["body"] for item in forge.comments.values()] == [BODY.replace("verdict", "another")]
    assert ("PATCH", "/repos/owner/name/issues/comments/1") in forge.asked and forge.tokens == {"Bearer t"}


def test_labels_that_the_review_needs_are_created_once(
    forge: Forge, comment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forge.labels.add("approve-data-loss: postgres/vex")
    changes = [
        {"label": "approve-data-loss: postgres/vex"},
        {"label": "approve-data-loss: objects/vex"},
        {"label": None},
    ]
    report = comment.with_name("review.json")
    report.write_text(json.dumps({"stacks": [{"changes": changes}]}))
    for printed in ("1 label created\ncomment created\n", "comment unchanged\n"):
        assert publish(comment, "--report", str(report)) == 0
        assert capsys.readouterr().out == printed
    assert forge.labels == {"approve-data-loss: postgres/vex", "approve-data-loss: objects/vex"}
    report.write_text("{}")
    assert publish(comment, "--report", str(report)) == 1
    assert "is not a report" in capsys.readouterr().err


def test_the_same_comment_is_not_written_again(forge: Forge, comment: Path) -> None:
    forge.add(BODY.replace("\n", "\r\n"))
    assert publish(comment) == 0
    assert {method for method, _ in forge.asked} == {"GET"}, "a comment that is edited for nothing notifies everybody"


def test_comments_of_others_and_of_other_stacks_are_left_alone(forge: Forge, comment: Path) -> None:
    others = [
        forge.add(BODY, "mallory"),
        forge.add(marker("stellaops-storage", "dev2")),
        forge.add(f"> quoted {BODY.strip()} in a line"),
    ]
    before = [forge.comments[number]["body"] for number in others]
    quoted = forge.add("say " + marker("stellaops-storage", "dev") + " in a sentence")
    assert publish(comment) == 0
    assert [forge.comments[number]["body"] for number in others[:2]] == before[:2]
    assert forge.comments[quoted]["body"].startswith("say ")


def test_a_comment_on_a_later_page_is_found(forge: Forge, comment: Path) -> None:
    for number in range(250):
        forge.add(f"comment {number}", "somebody")
    mine = forge.add(BODY.replace("verdict", "old"))
    assert publish(comment) == 0
    assert forge.comments[mine]["body"] == BODY and len(forge.comments) == 251


def test_a_stack_that_joins_keeps_the_comment(forge: Forge, comment: Path) -> None:
    forge.add(BODY)
    comment.write_text(f"{BODY}{marker('stellaops-storage', 'prod')}\n")
    assert publish(comment) == 0
    assert len(forge.comments) == 1


def test_gitlab_keeps_the_comment_the_same_way(forge: Forge, comment: Path) -> None:
    assert publish(comment, "--forge", "gitlab") == 0
    comment.write_text(BODY.replace("verdict", "another"))
    assert publish(comment, "--forge", "gitlab") == 0
    assert [item["body"] for item in forge.comments.values()] == [comment.read_text()]
    assert ("PUT", "/projects/7/merge_requests/5/notes/1") in forge.asked and forge.tokens == {"t"}


def test_a_missing_permission_is_told_with_what_to_do(
    forge: Forge, comment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forge.status = 403
    assert publish(comment) == 1
    said = capsys.readouterr().err
    assert "403: Resource not accessible by integration; give the job the permission pull-requests: write" in said
    assert said.count("\n") == 1 and "Bearer" not in said


def test_a_server_that_does_not_answer_is_told(
    forge: Forge, comment: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_API_URL", "http://127.0.0.1:9")
    assert publish(comment) == 1
    assert "error: GET http://127.0.0.1:9/repos/owner/name/issues/5/comments failed" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["GITHUB_TOKEN", "GITHUB_REPOSITORY"])
def test_a_missing_variable_is_named(
    forge: Forge, comment: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(name)
    assert publish(comment) == 1
    assert f"error: {name} is not set" in capsys.readouterr().err


def test_a_file_without_a_marker_is_not_published(
    forge: Forge, comment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    comment.write_text("any text")
    assert publish(comment) == 1
    assert not forge.asked and "no marker" in capsys.readouterr().err
