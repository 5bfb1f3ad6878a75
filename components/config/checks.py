"""Checks of stack config against the mapping. ``model`` checks each key alone."""

from collections.abc import Iterator

from components.config.load import SettingsError
from components.config.model import Settings
from components.config.namespace import NAMESPACE
from components.config.values import is_namespace
from components.mapping import Mapping, MappingError, load
from components.mapping.backup_names import BUCKET, OBJECT_STORE_USER
from components.mapping.backup_names import VALKEY_USER as BACKUP_USER
from components.mapping.names import POSTGRES_NAME_BYTES
from components.mapping.roles import RoleNames

LONGEST_BUCKET = 63
LONGEST_LABEL = 63  # characters of a DNS label
ACCESS_KEY_LENGTHS = range(3, 65)  # accepted by object stores


def load_mapping(settings: Settings) -> Mapping:
    """Return the stack's mapping. Raises ``SettingsError`` with every error in it and every conflict with the config."""
    try:
        mapping = load(settings.mapping).with_role_prefix(settings.postgres.role_prefix)
    except MappingError as error:
        raise SettingsError(f"the mapping has {len(error.problems)} problem(s):\n{error}") from None
    if problems := conflicts(settings, mapping):
        raise SettingsError("\n".join(problems))
    return mapping


def conflicts(settings: Settings, mapping: Mapping) -> list[str]:
    """Return a message for each name in the config that conflicts with the mapping."""
    return [
        *_roles(settings, mapping),
        *_valkey(settings, mapping),
        *_objects(settings, mapping),
        *_namespaces(settings, mapping),
    ]


def _roles(settings: Settings, mapping: Mapping) -> Iterator[str]:
    postgres = settings.postgres
    if postgres.database == postgres.maintenance_database and not postgres.adopt_database:
        yield (
            f"config {NAMESPACE}:postgresDatabase is {postgres.database!r}, the same as postgresMaintenanceDatabase; "
            + _set_command("postgresDatabase")
        )
    for role in sorted(mapping.access.roles(postgres.database).names):
        if len(role) > POSTGRES_NAME_BYTES:
            yield (
                f"config postgres:rolePrefix makes role {role!r} {len(role)} characters long, at most"
                f" {POSTGRES_NAME_BYTES} are allowed; shorten it, run: pulumi config set postgres:rolePrefix VALUE"
            )
    database_roles = RoleNames(databases=[postgres.database])
    for module in mapping.modules:
        if module in database_roles:
            yield (
                f"module {module!r} has the same name as a role of database {postgres.database!r}; rename the module, or "
                + _set_command("postgresDatabase")
            )
    if postgres.admin_user in mapping.access.roles(postgres.database):
        yield (
            f"config {NAMESPACE}:postgresAdminUser is {postgres.admin_user!r}, a role that this stack creates; "
            + _set_command("postgresAdminUser")
        )


def _valkey(settings: Settings, mapping: Mapping) -> Iterator[str]:
    admin = settings.valkey.admin_user
    if admin in {*mapping.users, BACKUP_USER} or admin.startswith(("acl-mark-", "valkey-", "health-probe")):
        yield (
            f"config {NAMESPACE}:valkeyAdminUser is {admin!r}, a user that this stack creates; "
            + _set_command("valkeyAdminUser")
        )


def _objects(settings: Settings, mapping: Mapping) -> Iterator[str]:
    prefix = settings.object_store.bucket_prefix
    for bucket in (*mapping.rustfs.buckets, BUCKET):
        if len(prefix + bucket) > LONGEST_BUCKET:
            yield (
                f"bucket {prefix + bucket!r} has {len(prefix + bucket)} characters, at most {LONGEST_BUCKET} are allowed; "
                f"shorten the prefix, {_set_command('bucketPrefix')}"
            )
    minimum, maximum = ACCESS_KEY_LENGTHS.start, ACCESS_KEY_LENGTHS.stop - 1
    for user in (*(name for name, objects in mapping.access.objects.items() if objects), OBJECT_STORE_USER):
        key = prefix + user
        if len(key) not in ACCESS_KEY_LENGTHS:
            too_long = len(key) > maximum
            remedy = (
                f"shorten the prefix, {_set_command('bucketPrefix')}" if too_long else "give the module a longer name"
            )
            yield f"access key {key!r} has {len(key)} characters, and must have {minimum} to {maximum}; {remedy}"


def _namespaces(settings: Settings, mapping: Mapping) -> Iterator[str]:
    template = settings.kubernetes.contract_namespace
    for module in mapping.users if template else ():
        namespace = template.replace("{module}", module.replace("_", "-"))
        if not is_namespace(namespace):
            yield (
                f"config {NAMESPACE}:contractNamespace becomes {namespace!r} for module {module!r}; a namespace has at "
                f"most {LONGEST_LABEL} lower-case letters, digits and -, and neither starts nor ends with -; "
                + _set_command("contractNamespace")
            )
            return


def _set_command(key: str) -> str:
    return f"run: pulumi config set {NAMESPACE}:{key} VALUE"
