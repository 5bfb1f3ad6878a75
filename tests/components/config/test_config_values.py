"""Each key of stack config: its default, what it accepts, and what a wrong value is answered with."""

import re
from typing import Any

import pulumi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.config.keys import Declared, declared
from components.config.load import SettingsError, read
from components.config.model import PostgresSettings, Settings, ValkeyDeploymentSettings
from tests.program.recorder import record

KEYS = {item.full_name: item for item in declared(Settings)}
TEXTS = [name for name, item in KEYS.items() if item.pulumi_type == "string" and not item.key.secret]
SECRETS = [name for name, item in KEYS.items() if item.key.secret]
REQUIRED = {
    "stellaops-storage:postgresHost": "db",
    "stellaops-storage:valkeyHost": "cache",
    "stellaops-storage:objectStoreEndpoint": "https://s3:9000",
    **dict.fromkeys(SECRETS, "s3cret"),
}


def value_of(config: Settings[str], item: Declared) -> Any:
    value: Any = config
    for name in item.path:
        value = getattr(value, name)
    return value


def refused(**changes: str) -> list[str]:
    """The lines of the message about ``changes``; a key with ``__`` for ``:`` has a namespace of its own."""
    named = {
        key.replace("__", ":") if "__" in key else f"stellaops-storage:{key}": text for key, text in changes.items()
    }
    with pytest.raises(SettingsError) as caught:
        Settings.of({**REQUIRED, **named})
    return str(caught.value).splitlines()


@pytest.mark.parametrize("name", [name for name, item in KEYS.items() if not item.required])
@pytest.mark.parametrize("empty", [False, True], ids=["missing", "empty"])
def test_an_unset_key_has_the_default_that_the_model_declares(name: str, empty: bool) -> None:
    config = Settings.of({**REQUIRED, **({name: ""} if empty else {})})
    assert value_of(config, KEYS[name]) == KEYS[name].field.default


@pytest.mark.parametrize("name", [name for name, item in KEYS.items() if item.default not in (None, "")])
def test_the_default_as_the_engine_passes_it_gives_the_same_value(name: str) -> None:
    """The engine passes the defaults of Pulumi.yaml as text."""
    default = KEYS[name].default
    text = str(default).lower() if isinstance(default, bool) else str(default)
    assert value_of(Settings.of({**REQUIRED, name: text}), KEYS[name]) == KEYS[name].field.default


@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_a_missing_key_without_a_default_is_named_with_the_command_that_sets_it(name: str) -> None:
    assert KEYS[name].required
    with pytest.raises(SettingsError) as caught:
        Settings.of({key: value for key, value in REQUIRED.items() if key != name})
    secret = "--secret " if name in SECRETS else ""
    assert str(caught.value).startswith(f"config {name} is missing; run: pulumi config set {secret}{name}")


def test_a_wrong_choice_is_answered_with_the_choices_and_the_one_that_was_meant() -> None:
    (mode,) = refused(kubernetesMode="clustre")
    assert mode == (
        "config stellaops-storage:kubernetesMode is 'clustre'; it must be one of cluster, render, none; "
        "run: pulumi config set stellaops-storage:kubernetesMode cluster"
    )
    (isolation,) = refused(postgres__tenantIsolation="rls")
    assert isolation == (
        "config postgres:tenantIsolation is 'rls'; it must be one of off, row-level-security; "
        "run: pulumi config set postgres:tenantIsolation off"
    )


def test_all_problems_are_reported_at_once_one_a_line() -> None:
    wrong = {
        "kubernetesMode": "clustre", "postgresPort": "many", "valkeyReplicas": "1", "valkeyServiceMonitor": "true",
        "valkeyImage": "valkey", "dropSchemas": "vex,no schema", "protect": "yes", "postgresHost": "", "backupsVolumeSize": "20",
    }  # fmt: skip
    lines = refused(**wrong)
    found = [match[1] for line in lines if (match := re.match(r"config stellaops-storage:(\w+) ", line))]
    assert sorted(found) == sorted(wrong), "somebody would mend these one by one, with a run for each"
    assert all("run: pulumi config set stellaops-storage:" in line for line in lines)


@pytest.mark.parametrize("text", ["0", "65536", "-1", "54 32", "5432.0", "1e3", "٣"])
def test_a_port_is_a_whole_number_from_1_to_65535(text: str) -> None:
    (line,) = refused(postgresPort=text)
    assert "it must be a whole number from 1 to 65535" in line


@pytest.mark.parametrize(("text", "value"), [("true", True), ("false", False), ("True", True), ("False", False)])
def test_a_boolean_is_read_as_the_engine_reads_it(text: str, value: bool) -> None:
    assert Settings.of({**REQUIRED, "stellaops-storage:protect": text}).protect is value


def test_a_list_is_split_at_its_commas_once() -> None:
    config = Settings.of(
        {**REQUIRED, "stellaops-storage:dropSchemas": " vex, vuln ,,", "stellaops-storage:moduleNamespaces": "b,a"}
    )
    assert config.postgres.drop_schemas == frozenset({"vex", "vuln"})
    assert config.valkey_deployment.module_namespaces == ("b", "a")


def test_an_image_has_its_digest_where_one_is_set() -> None:
    digest = "sha256:" + "0" * 64
    config = Settings.of({**REQUIRED, "stellaops-storage:backupsAgentImageDigest": digest})
    assert config.backups.agent_image == f"{config.backups.agent_image_name}@{digest}"
    assert config.backups.postgres_image == config.backups.postgres_image_name


@pytest.mark.parametrize(
    "image",
    ["valkey/valkey", "host:5000/valkey", "valkey:latest", "valkey:", "valkey:8@sha256:" + "0" * 64, "Valkey:8"],
)
def test_an_image_without_a_version_of_its_own_is_refused(image: str) -> None:
    (line,) = refused(valkeyImage=image)
    assert f"valkeyImage is {image!r}; it must be name:version" in line


@pytest.mark.parametrize("image", ["valkey/valkey:8.1.8", "registry.example.org:5000/a/valkey:8"])
def test_an_image_with_a_version_is_accepted(image: str) -> None:
    assert Settings.of({**REQUIRED, "stellaops-storage:valkeyImage": image}).valkey_deployment.image == image


def test_a_service_monitor_with_its_exporter_is_accepted() -> None:
    assert ValkeyDeploymentSettings(exporter=True, service_monitor=True).service_monitor


@given(name=st.sampled_from(TEXTS), text=st.text(max_size=300))
@settings(deadline=None)
def test_any_text_is_taken_as_it_is_or_refused_in_lines_about_its_key(name: str, text: str) -> None:
    item = KEYS[name]
    try:
        config = Settings.of({**REQUIRED, name: text})
    except SettingsError as error:
        lines = str(error).splitlines()
        assert all(line.startswith(f"config {name} ") for line in lines), "a text would forge lines of the message"
        return
    value = value_of(config, item)
    taken = sorted(value) if item.is_list else [str(value)]
    assert not re.search(r"[\x00-\x1f\x7f]", "".join(taken)), "a control character would reach a store or a terminal"
    if text:
        parts = {part.strip() for part in text.split(",")} - {""}
        assert set(taken) == parts if item.is_list else value == type(value)(text)


@given(
    secret=st.text("ABCDEFGHJKLMNPQRSTUVWXYZ", min_size=8, max_size=20),
    wrong=st.sampled_from(["postgresPort", "kubernetesMode", "valkeyHost", "dropSchemas"]),
)
@settings(deadline=None)
def test_a_secret_is_never_shown(secret: str, wrong: str) -> None:
    values = {**REQUIRED, **dict.fromkeys(SECRETS, f"<{secret}>")}
    with pytest.raises(SettingsError) as caught:
        Settings.of({**values, f"stellaops-storage:{wrong}": "no such thing"})
    assert secret not in str(caught.value)
    config = Settings.of(values)
    assert secret not in repr(config) and secret not in str(config.object_store)
    assert config.postgres.admin_password == f"<{secret}>"


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_of_the_wrong_type_is_refused_without_its_value(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(Settings[str], {**REQUIRED, name: 12345678})
    assert name in str(caught.value) and "12345678" not in str(caught.value)


def test_a_secret_stays_an_output_in_the_program() -> None:
    found: list[Settings] = []
    record(lambda: found.append(Settings.load()), dict(REQUIRED))
    (config,) = found
    assert isinstance(config.postgres.admin_password, pulumi.Output)
    assert "s3cret" not in repr(config)


def test_the_settings_cannot_be_changed() -> None:
    config = Settings.of(REQUIRED)
    with pytest.raises(ValueError, match="frozen"):
        config.postgres.host = "elsewhere"


def test_a_field_that_does_not_exist_is_refused_where_settings_are_made_by_hand() -> None:
    with pytest.raises(ValueError, match="hostname"):
        PostgresSettings[str](host="db", admin_password="s3cret", hostname="db")  # type: ignore[call-arg]
