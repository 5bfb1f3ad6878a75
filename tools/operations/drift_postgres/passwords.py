"""Compare the passwords of the stack's logins with those in its outputs. No password or verifier is ever printed.

A superuser reads the verifiers. Any other admin cannot, so each login is tried with its password.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import psycopg

from components.mapping.backup_names import VALKEY_USER
from components.mapping.roles import BackupRole, Login
from components.resources.credentials import TOKEN as CREDENTIAL
from provider.difference import BY_UP, Difference
from provider.postgres import scram
from provider.postgres.server import LOGIN_FAILED
from tools.local.paths import PROJECT
from tools.operations.drift_postgres.catalog import Catalog, Differences


def differences(catalog: Catalog) -> Differences:
    """Yield every login whose password is not the stack's."""
    passwords = dict(_passwords(catalog))
    readable = catalog.is_superuser
    unlike = _unlike_verifiers(catalog, passwords) if readable else _refused(catalog, passwords)
    for role, words in sorted(unlike.items()):
        # A run reads and corrects passwords if the stack's config has a superuser as admin.
        by_up = readable and catalog.stack.settings.postgres.superuser
        yield Difference(f"the password of role {role} {words}", BY_UP if by_up else _replaced(catalog, role))


def _passwords(catalog: Catalog) -> Iterator[tuple[str, str]]:
    """Yield each existing login with its password in the stack's outputs."""
    outputs = catalog.stack.outputs
    for name, definition in catalog.roles.items():
        if isinstance(definition.role, Login):
            password = outputs.get("secrets", {}).get(definition.role.module, {}).get("postgres_password")
        elif isinstance(definition.role, BackupRole):
            password = outputs.get("backups", {}).get("postgres_password")
        else:
            continue
        if password and name in catalog.existing_roles:
            yield name, password


def _unlike_verifiers(catalog: Catalog, passwords: Mapping[str, str]) -> dict[str, str]:
    query = "SELECT rolname, rolpassword FROM pg_catalog.pg_authid WHERE rolname = ANY (%(logins)s)"
    found = {}
    for role, verifier in catalog.rows(query, logins=list(passwords)):
        if verifier is None:
            found[role] = "was removed: it cannot log in"
        elif not scram.matches(passwords[role], verifier):
            found[role] = "is not the stack's: it was changed by hand"
    return found


def _refused(catalog: Catalog, passwords: Mapping[str, str]) -> dict[str, str]:
    """Try each login. Leaves out those that the server refuses whatever their password is."""
    rows = catalog.rows(
        """SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY (%(roles)s) AND rolcanlogin
             AND coalesce(rolvaliduntil > pg_catalog.now(), true)"""
    )
    found = {}
    for role in {str(row[0]) for row in rows} & passwords.keys():
        server = replace(catalog.stack.postgres, user=role, password=passwords[role])
        try:
            server.open(server.database).close()
        except psycopg.OperationalError as error:
            if LOGIN_FAILED in str(error):
                found[role] = "is not the stack's: the server refuses it"
    return found


def _replaced(catalog: Catalog, role: str) -> str:
    """Return the command that generates another password and sets it: the admin cannot read what the server has, so a run
    sets a password only if the stack's own changes."""
    definition = catalog.roles[role].role
    name = definition.module if isinstance(definition, Login) else VALKEY_USER
    return catalog.stack.pulumi(f"up --replace urn:pulumi:{catalog.stack.name}::{PROJECT}::{CREDENTIAL}::{name}")
