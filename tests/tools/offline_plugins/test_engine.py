"""The offline plugins under the engine: a program of these tests' own, on real servers."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.stack import PROJECT
from tools.local import environment
from tools.local.engine.tools import Engine
from tools.local.paths import State, write_private
from tools.offline_plugins import install
from tools.pulumi_cli import PulumiCli, Result

PROGRAM = """
import json, os
import pulumi, pulumi_aws as aws, pulumi_kubernetes as kubernetes, pulumi_postgresql as postgresql

s = json.load(open("settings.json"))
admin = dict(host=s["host"], port=s["port"], username=s["user"], password=s["password"], sslmode="disable", max_connections=4)
outside = postgresql.Provider("outside", database="postgres", **admin)
database = postgresql.Database(s["name"], name=s["name"], opts=pulumi.ResourceOptions(provider=outside))
inside = postgresql.Provider("inside", database=database.name, **admin)
of = pulumi.ResourceOptions(provider=inside)
owner = postgresql.Role("owner", name=s["name"] + "_owner", opts=of)
login = postgresql.Role(
    "login", name=s["name"] + "_login", login=True, password=pulumi.Output.secret(s["verifier"]), roles=[owner.name],
    connection_limit=s["limit"], search_paths=["pg_catalog"], opts=of,
)
schema = postgresql.Schema("schema", name=s["schema"], owner=owner.name, drop_cascade=True, opts=of)
closed = postgresql.Grant("public", database=database.name, role="public", object_type="database", privileges=[], opts=of)
usage = postgresql.Grant(
    "usage", database=database.name, role=login.name, schema=schema.name, object_type="schema", privileges=["USAGE"], opts=of
)
defaults = postgresql.DefaultPrivileges(
    "defaults", database=database.name, owner=owner.name, role="public", object_type="function", privileges=[],
    opts=pulumi.ResourceOptions.merge(of, pulumi.ResourceOptions(delete_before_replace=True)),
)
store = aws.Provider(
    "store", region="us-east-1", access_key=s["access_key"], secret_key=s["secret_key"], s3_use_path_style=True,
    skip_credentials_validation=True, skip_requesting_account_id=True, skip_metadata_api_check=True,
    endpoints=[aws.ProviderEndpointArgs(s3=s["endpoint"])],
)
aws.s3.BucketVersioning(
    "versions", bucket=s["bucket"],
    versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
    opts=pulumi.ResourceOptions(provider=store),
)
cluster = kubernetes.Provider("cluster", namespace="stellaops", render_yaml_to_directory=s["directory"])
kubernetes.core.v1.ConfigMap(
    "conf", metadata={"name": "conf"}, data={"a": s["text"]}, opts=pulumi.ResourceOptions(provider=cluster)
)
kubernetes.core.v1.Secret(
    "secret", metadata={"name": "secret"}, string_data={"password": pulumi.Output.secret(s["hidden"])},
    opts=pulumi.ResourceOptions(provider=cluster),
)
pulumi.export("database", database.name)
pulumi.export("owner", schema.owner)
"""


class Project:
    """A program, its settings and its stack. It may import the project's own packages."""

    def __init__(self, directory: Path, engine: Engine, settings: dict[str, Any], program: str = PROGRAM) -> None:
        self.directory = directory
        self.settings = settings
        state = State(directory / "state")
        state.make()
        write_private(state.passphrase, "for tests")
        every = environment.of_engine(state, engine)
        foreign = ("PULUMI_STACK", "PULUMI_OPTION_CONFIG_FILE")
        self.environment = {name: value for name, value in every.items() if name not in foreign}
        self.environment["PYTHONPATH"] = str(PROJECT)
        install.ensure(state.pulumi_home, engine.pulumi, {**self.environment, install.CHOICE: "offline"})
        self._cli = PulumiCli(engine.pulumi, self.environment, directory)
        (directory / "Pulumi.yaml").write_text(
            "name: plugins\nruntime: python\n"
            f"plugins: {{providers: [{{name: stellaops, path: {PROJECT / 'provider'}}}]}}\n"
        )
        (directory / "__main__.py").write_text(program)
        self.write()
        self.must("stack", "init", "test")

    def write(self, **changes: Any) -> None:
        self.settings.update(changes)
        write_private(self.directory / "settings.json", json.dumps(self.settings))

    def run(self, *arguments: str) -> Result:
        return self._cli.run(*arguments, timeout=300)

    def must(self, *arguments: str) -> str:
        result = self.run(*arguments)
        assert result.exit_code == 0, f"pulumi {' '.join(arguments)}:\n{result.stdout}\n{result.stderr}"
        return result.stdout

    def up(self) -> None:
        self.must("up", "--yes", "--skip-preview")

    def preview(self) -> dict[str, dict[str, Any]]:
        """Resource name -> step, of what would change."""
        steps = json.loads(self.must("preview", "--json"))["steps"]
        return {step["urn"].rpartition("::")[2]: step for step in steps if step["op"] != "same"}

    def nothing_to_do(self) -> bool:
        return not self.preview()


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory, engine: Engine, postgres_server: Any, object_store: Any
) -> Iterator[Project]:
    directory = tmp_path_factory.mktemp("engine")
    s3 = object_store.client()
    s3.create_bucket(Bucket="engine-test")
    settings = {
        "host": postgres_server.host, "port": postgres_server.port, "user": postgres_server.user,
        "password": postgres_server.password, "name": "engine", "schema": "app", "limit": 5,
        "verifier": "SCRAM-SHA-256$4096:MDEyMzQ1Njc4OWFiY2RlZg==$2pZLOhDjp3IPk6j+e8vGL1XTTgQOBs1qUsBGpBvSdgE="
                    ":3aRrIrBPJQ+8I4LrTKjFmSFwJIw0ZRxTLRWzcwEDJPY=",
        "endpoint": object_store.endpoint, "access_key": object_store.access_key, "secret_key": object_store.secret_key,
        "bucket": "engine-test", "directory": str(directory / "rendered"), "text": "x", "hidden": "very-hidden-text",
    }  # fmt: skip
    project = Project(directory, engine, settings)
    try:
        yield project
    finally:
        project.run("destroy", "--yes", "--skip-preview")
        s3.delete_bucket(Bucket="engine-test")
        s3.close()


@dataclass(frozen=True)
class Previewed:
    """What the first preview planned, and what there was after it."""

    steps: dict[str, dict[str, Any]]
    roles: list[Any]
    databases: list[Any]
    rendered: bool


@pytest.fixture(scope="module")
def previewed(project: Project, postgres_server: Any) -> Previewed:
    steps = project.preview()
    with postgres_server.connect() as sql:
        return Previewed(steps, *leftovers(sql), (project.directory / "rendered").exists())


@pytest.fixture(scope="module")
def stack(project: Project, previewed: Previewed) -> Project:
    """Everything is made. Tests that change something take ``changed``."""
    project.up()
    return project


@pytest.fixture
def changed(stack: Project) -> Iterator[Project]:
    """The stack, brought back after the test to what it was."""
    before = dict(stack.settings)
    yield stack
    stack.write(**before)
    stack.up()


def leftovers(sql: Any) -> tuple[list[Any], list[Any]]:
    """Roles and databases of these tests."""
    roles = sql.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'engine%'").fetchall()
    return roles, sql.execute("SELECT datname FROM pg_database WHERE datname = 'engine'").fetchall()


pytestmark = pytest.mark.xdist_group("plugins_engine")


def test_a_preview_creates_nothing_and_shows_no_secret(project: Project, previewed: Previewed) -> None:
    assert {step["op"] for step in previewed.steps.values()} == {"create"} and "login" in previewed.steps
    text = json.dumps(previewed.steps)
    assert "very-hidden-text" not in text and project.settings["verifier"] not in text
    assert not previewed.roles and not previewed.databases and not previewed.rendered


def test_after_up_there_is_nothing_to_do_not_even_after_a_refresh(stack: Project) -> None:
    assert stack.nothing_to_do()
    stack.must("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    assert stack.nothing_to_do()
    assert json.loads(stack.must("stack", "output", "--json")) == {"database": "engine", "owner": "engine_owner"}


def test_the_state_holds_ids_and_outputs_but_no_secret_in_clear(stack: Project) -> None:
    text = stack.must("stack", "export")
    for secret in (
        stack.settings["verifier"],
        stack.settings["password"],
        stack.settings["secret_key"],
        "very-hidden-text",
    ):
        assert secret not in text, "whoever can read the state must not be able to log in"
    resources = {item["urn"].rpartition("::")[2]: item for item in json.loads(text)["deployment"]["resources"]}
    assert resources["login"]["id"] == "engine_login" and resources["schema"]["id"] == "engine.app"
    assert resources["usage"]["id"] == "engine_login_engine_app_schema" and resources["conf"]["id"] == "stellaops/conf"
    assert resources["versions"]["id"] == "engine-test" and resources["public"]["id"] == "public_engine_database"
    assert resources["login"]["outputs"]["validUntil"] == "infinity"
    assert "ciphertext" in json.dumps(resources["login"]["outputs"]["password"])


def test_changes_show_in_the_preview_and_are_made_in_place(changed: Project, postgres_server: Any) -> None:
    changed.write(limit=6, text="y")
    steps = changed.preview()
    assert steps["login"]["op"] == "update" and list(steps["login"]["detailedDiff"]) == ["connectionLimit"]
    assert steps["conf"]["op"] in ("replace", "delete-replaced", "create-replacement", "delete")
    changed.up()
    with postgres_server.connect() as sql:
        assert sql.execute("SELECT rolconnlimit FROM pg_roles WHERE rolname = 'engine_login'").fetchall() == [(6,)]
    assert changed.nothing_to_do()


def test_drift_is_found_by_refresh_and_mended_by_up(changed: Project, postgres_server: Any) -> None:
    with postgres_server.connect("engine") as sql:
        sql.execute("ALTER ROLE engine_login CREATEDB CONNECTION LIMIT 99")
        sql.execute("GRANT CREATE ON SCHEMA app TO engine_login")
        sql.execute("GRANT CONNECT ON DATABASE engine TO PUBLIC")
    (manifest,) = (changed.directory / "rendered").rglob("*configmap*")
    manifest.unlink()
    changed.must("refresh", "--yes", "--skip-preview")
    assert set(changed.preview()) == {"login", "usage", "public", "conf"}
    changed.up()
    assert changed.nothing_to_do() and manifest.exists()
    with postgres_server.connect("engine") as sql:
        granted = "SELECT privilege_type FROM pg_namespace, aclexplode(nspacl) WHERE grantee = 'engine_login'::regrole"
        assert sql.execute(granted).fetchall() == [("USAGE",)]
        assert sql.execute("SELECT has_database_privilege('public', 'engine', 'CONNECT')").fetchall() == [(False,)]


def test_what_vanished_is_made_again(changed: Project, postgres_server: Any) -> None:
    with postgres_server.connect("engine") as sql:
        sql.execute("DROP OWNED BY engine_login; DROP ROLE engine_login")
    changed.must("refresh", "--yes", "--skip-preview")
    assert {name: step["op"] for name, step in changed.preview().items()} == {"login": "create", "usage": "create"}
    changed.up()
    assert changed.nothing_to_do()


def test_an_unknown_property_stops_the_run_before_anything_is_done(stack: Project) -> None:
    program = stack.directory / "__main__.py"
    broken = PROGRAM.replace('postgresql.Role("owner", name=', 'postgresql.Role("owner", valid_until=5, name=')
    program.write_text(broken)
    result = stack.run("preview")
    program.write_text(PROGRAM)
    assert result.exit_code != 0 and "expected a string, got a number" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr


def test_the_wrong_admin_password_reaches_the_user_in_one_line(changed: Project) -> None:
    changed.write(password="wrong", limit=7)
    result = changed.run("up", "--yes", "--skip-preview")
    lines = [line for line in result.stdout.splitlines() if "password authentication failed" in line]
    assert result.exit_code != 0 and lines and "Traceback" not in result.stdout + result.stderr
    assert all("check that the server runs and that host and password are correct" in line for line in lines)


def test_a_role_is_imported_without_a_change(stack: Project, postgres_server: Any) -> None:
    with postgres_server.connect() as sql:
        sql.execute("CREATE ROLE engine_import LOGIN CONNECTION LIMIT 3")
    name = "postgresql:index/role:Role"
    text = stack.must("import", "--yes", "--skip-preview", "--protect=false", "--generate-code=false",
                        "--provider", "inside=" + _urn(stack, "inside"), name, "imported", "engine_import")  # fmt: skip
    assert "1 imported" in text
    state = json.loads(stack.must("stack", "export"))["deployment"]["resources"]
    (imported,) = [item for item in state if item["urn"].endswith("::imported")]
    assert imported["inputs"]["connectionLimit"] == 3 and imported["inputs"]["login"] is True
    stack.must("state", "delete", "--yes", imported["urn"])
    with postgres_server.connect() as sql:
        sql.execute("DROP ROLE engine_import")


def _urn(project: Project, name: str) -> str:
    state = json.loads(project.must("stack", "export"))["deployment"]["resources"]
    (urn,) = [str(item["urn"]) for item in state if item["urn"].endswith(f"::{name}")]
    return urn


def test_destroy_leaves_nothing_and_says_nothing_of_what_is_gone_already(
    changed: Project, postgres_server: Any
) -> None:
    with postgres_server.connect("engine") as sql:
        sql.execute("DROP OWNED BY engine_login; DROP ROLE engine_login")
        sql.execute("DROP SCHEMA app CASCADE")
    changed.must("destroy", "--yes", "--skip-preview")
    with postgres_server.connect() as sql:
        assert leftovers(sql) == ([], [])
    assert not list((changed.directory / "rendered").rglob("*.yaml"))
