"""What the texts of stack config may be, and what of it would clash with the mapping.

A name that a store or Kubernetes would refuse, or read as something else (a ``*`` before a bucket's name opens other
buckets), is told before anything is touched. Functions return sentences, one a problem.
"""

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from components.config.namespace import NAMESPACE
from components.mapping import Mapping
from components.mapping.backup_names import BUCKET, OBJECT_STORE_USER
from components.mapping.backup_names import VALKEY_USER as BACKUP_USER
from components.mapping.roles import RoleNames

if TYPE_CHECKING:
    from components.config.settings import Settings

LONGEST_BUCKET = 63
LONGEST_LABEL = 63  # of DNS
ACCESS_KEY = range(3, 65)  # characters that object stores take

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_HOST = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?|[0-9A-Fa-f:.]{2,45}"
_IMAGE = r"[a-z0-9][A-Za-z0-9._:/@-]{0,253}"  # settings.py says where a digest goes
_ROLE = r"[A-Za-z_][A-Za-z0-9_.@-]{0,62}"
_PRINTABLE = r"[^\x00-\x1f\x7f]*"
_CRON = r"@(yearly|monthly|weekly|daily|hourly)|([0-9A-Za-z*,/-]+ ){4}[0-9A-Za-z*,/-]+"

# Key -> expression, and the rule in words.
RULES: dict[str, tuple[str, str]] = {
    "mapping": (_PRINTABLE, "a path"),
    "postgresHost": (_HOST, "the name or the address of a host"),
    "postgresSslMode": (
        "disable|allow|prefer|require|verify-ca|verify-full",
        "one of libpq's: verify-full, require, disable",
    ),
    "postgresAdminUser": (_ROLE, "a role's name of at most 63 letters, digits and _ . @ -"),
    "postgresDatabase": (
        r"(?!pg_)[a-z][a-z0-9_]{0,54}",
        "at most 55 lower-case letters, digits and _, with a letter first",
    ),
    "postgresMaintenanceDatabase": (_ROLE, "a database's name of at most 63 letters, digits and _ . @ -"),
    "valkeyHost": (_HOST, "the name or the address of a host"),
    "valkeyAdminUser": (r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}", "at most 63 letters, digits and _ . -"),
    "valkeyImage": (_IMAGE, "an image's name:version"),
    "valkeyMaintenanceImage": (_IMAGE, "an image's name:version"),
    "valkeyExporterImage": (_IMAGE, "an image's name:version"),
    "valkeyTlsSecret": (_SUBDOMAIN, "a name as Kubernetes takes it"),
    "valkeyStorageClass": (_SUBDOMAIN, "a name as Kubernetes takes it"),
    "valkeyPriorityClass": (_SUBDOMAIN, "a name as Kubernetes takes it"),
    "valkeyTrimSchedule": (_CRON, "five fields of cron, like 17 3 * * *"),
    "valkeyKeysSchedule": (_CRON, "five fields of cron, like 47 * * * *"),
    "kubernetesRenderDirectory": (_PRINTABLE, "a path"),
    "kubernetesNamespace": (_LABEL, "at most 63 lower-case letters, digits and -"),
    "kubernetesContext": (_PRINTABLE, "a context of the kubeconfig"),
    "contractNamespace": (r"([a-z0-9-]|\{module\}){1,63}", "lower-case letters, digits, - and {module}"),
    "objectStoreEndpoint": (
        rf"https?://({_HOST}|\[[0-9A-Fa-f:.]+\])(:[0-9]{{1,5}})?/?",
        "a URL like https://host:9000",
    ),
    "objectStoreRegion": (r"[a-z0-9-]{1,40}", "at most 40 lower-case letters, digits and -"),
    "bucketPrefix": (r"[a-z0-9][a-z0-9-]{0,40}", "at most 41 lower-case letters, digits and -, and not begin with -"),
    "backupsEncryption": (r"AES256|aws:kms(:dsse)?", "AES256 or aws:kms"),
    "backupsVolumeSize": (r"[1-9][0-9]{0,9}(Mi|Gi|Ti|M|G|T)", "a size like 20Gi"),
    "backupsPostgresImage": (_IMAGE, "an image's name:version"),
    "backupsAgentImage": (_IMAGE, "an image's name:version"),
}
# The same of each name in a list that is divided by commas.
LISTS: dict[str, tuple[str, str]] = {
    "dropSchemas": (r"\*|[a-z][a-z0-9_]{0,55}", "names of schemas, or *"),
    "adoptBuckets": (r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", "names of buckets"),
    "moduleNamespaces": (_LABEL, "names of namespaces"),
    "monitoringNamespaces": (_LABEL, "names of namespaces"),
}


def wrong_texts(get: Callable[[str], str | None]) -> list[str]:
    """What is wrong with single values. ``get`` gives that of a key, None or empty where it is not set."""
    problems = []
    for key, (expression, words) in RULES.items():
        value = get(key)
        if value and not re.fullmatch(expression, value):
            problems.append(f"config {NAMESPACE}:{key} is {value[:100]!r}; it must be {words}")
    for key, (expression, words) in LISTS.items():
        for part in (get(key) or "").split(","):
            if part.strip() and not re.fullmatch(expression, part.strip()):
                problems.append(
                    f"config {NAMESPACE}:{key} has {part.strip()[:100]!r}; it must be {words}, divided by commas"
                )
    return problems


def clashes(settings: "Settings", mapping: Mapping) -> list[str]:
    """Names that are well by themselves and not together with the mapping's."""
    return [
        *_roles(settings, mapping),
        *_valkey(settings, mapping),
        *_objects(settings, mapping),
        *_namespaces(settings, mapping),
    ]


def _roles(settings: "Settings", mapping: Mapping) -> Iterator[str]:
    postgres = settings.postgres
    if postgres.database == postgres.maintenance_database and not postgres.adopt_database:
        yield f"config {NAMESPACE}:postgresDatabase is {postgres.database!r}, as postgresMaintenanceDatabase is; name another"
    own = RoleNames(databases=[postgres.database])
    for module in mapping.modules:
        if module in own:
            yield (
                f"module {module!r} has the name of a role of database {postgres.database!r}; rename it, or set {NAMESPACE}:postgresDatabase"
            )
    if postgres.admin_user in mapping.access.roles(postgres.database):
        yield f"config {NAMESPACE}:postgresAdminUser is {postgres.admin_user!r}, a role that this stack makes; use another admin"


def _valkey(settings: "Settings", mapping: Mapping) -> Iterator[str]:
    admin = settings.valkey.admin_user
    if admin in {*mapping.users, BACKUP_USER} or admin.startswith(("acl-mark-", "valkey-", "health-probe")):
        yield f"config {NAMESPACE}:valkeyAdminUser is {admin!r}, a user that this stack makes; use another admin"


def _objects(settings: "Settings", mapping: Mapping) -> Iterator[str]:
    prefix = settings.object_store.bucket_prefix
    for bucket in (*mapping.rustfs.buckets, BUCKET):
        if len(prefix + bucket) > LONGEST_BUCKET:
            yield f"bucket {prefix + bucket!r} has {len(prefix + bucket)} characters, at most {LONGEST_BUCKET} are allowed; shorten {NAMESPACE}:bucketPrefix"
    for user in (*(name for name, objects in mapping.access.objects.items() if objects), OBJECT_STORE_USER):
        key = prefix + user
        if len(key) not in ACCESS_KEY:
            todo = (
                f"shorten {NAMESPACE}:bucketPrefix" if len(key) > ACCESS_KEY.start else "give the module a longer name"
            )
            yield f"access key {key!r} has {len(key)} characters, and must have {ACCESS_KEY.start} to {ACCESS_KEY.stop - 1}; {todo}"


def _namespaces(settings: "Settings", mapping: Mapping) -> Iterator[str]:
    template = settings.kubernetes.contract_namespace
    for module in mapping.users if template else ():
        namespace = template.replace("{module}", module.replace("_", "-"))
        if not re.fullmatch(_LABEL, namespace):
            yield (
                f"config {NAMESPACE}:contractNamespace makes {namespace!r} for module {module!r}; a namespace has at most"
                f" {LONGEST_LABEL} lower-case letters, digits and -, and neither begins nor ends with -"
            )
            return
