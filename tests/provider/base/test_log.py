"""Messages of a resource reach the user through the engine; without one they are printed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

from provider.base import log


class FakeEngine(engine_pb2_grpc.EngineServicer):
    def __init__(self) -> None:
        self.requests: list[Any] = []

    def Log(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.requests.append(request)
        return empty_pb2.Empty()


@pytest.fixture
def no_engine() -> Iterator[None]:
    log.engine.connect("")
    yield
    log.engine.connect("")


@pytest.fixture
def engine(no_engine: None) -> Iterator[FakeEngine]:
    made = FakeEngine()
    server = grpc.server(ThreadPoolExecutor(max_workers=1))
    engine_pb2_grpc.add_EngineServicer_to_server(made, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    log.engine.connect(f"127.0.0.1:{port}")
    yield made
    server.stop(grace=None)


def test_a_message_is_shown_beside_its_resource(engine: FakeEngine, capsys: pytest.CaptureFixture[str]) -> None:
    token = log.current_urn.set("urn:pulumi:s::p::stellaops:postgres:SchemaMigrations::vuln")
    log.info("vuln: applied 0001_tables.sql.j2")
    log.current_urn.reset(token)
    (request,) = engine.requests
    assert request.message == "vuln: applied 0001_tables.sql.j2" and request.severity == engine_pb2.INFO
    assert request.urn.endswith("::vuln")
    assert capsys.readouterr().out == "", "the engine reads the port there and shows nothing"


def test_without_an_engine_a_message_is_printed(no_engine: None, capsys: pytest.CaptureFixture[str]) -> None:
    log.info("line")
    assert capsys.readouterr().out == "line\n"


def test_an_engine_that_is_gone_stops_no_migration(no_engine: None) -> None:
    log.engine.connect("127.0.0.1:1")
    log.info("line")
