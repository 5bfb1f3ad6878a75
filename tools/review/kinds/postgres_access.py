"""PostgreSQL roles, memberships and grants, described by the role that gains or loses access."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from components.mapping.access import VERSION_TABLE
from components.mapping.roles import ConnectRole, GroupKind, GroupRole, is_owner, reader
from tools.review.change import SUBJECTS, MappingPath, RatedChange
from tools.review.context import ReviewContext, role_name
from tools.review.escape import code, codes, plain
from tools.review.kinds import generic
from tools.review.preview import UNKNOWN, PreviewStep, ResourceState
from tools.review.risk import Risk
from tools.review.tokens import CREDENTIAL, DATABASE, GRANT, ROLE

TYPES = (GRANT, ROLE)
STORE = "PostgreSQL"
PUBLIC = "public"

# Role attribute that applies to the whole server -> (SQL name, effect).
ROLE_ATTRIBUTES = {
    "superuser": ("SUPERUSER", "it bypasses all permission checks"),
    "createRole": ("CREATEROLE", "it can create and change roles"),
    "createDatabase": ("CREATEDB", "it can create databases"),
    "replication": ("REPLICATION", "it can read all data through replication"),
    "bypassRowLevelSecurity": ("BYPASSRLS", "it sees the rows of every tenant"),
}
_DESCRIBED = {*ROLE_ATTRIBUTES, "roles", "name"}


@dataclass(frozen=True)
class PrivilegeTarget:
    """What a privilege applies to. ``object`` is empty for a schema or database, ``column`` for a whole table."""

    kind: str
    schema: str
    object: str = ""
    column: str = ""

    def __str__(self) -> str:
        if not self.object:
            return f"{self.kind} {self.schema}"
        text = f"{self.schema}.{self.object}" if self.schema else self.object
        return f"{text}({self.column})" if self.column else text


Privileges = dict[tuple[str, PrivilegeTarget], set[str]]
Groups = dict[str, frozenset[str]]  # login -> group roles


def changes(context: ReviewContext, steps: list[PreviewStep]) -> list[RatedChange]:
    """Describe changed roles, then the privileges that each role gains and loses."""
    result: list[RatedChange] = []
    for step in steps:
        if step.type == ROLE:
            result += _role(context, step)
    return result + _grants(context)


def _role(context: ReviewContext, step: PreviewStep) -> list[RatedChange]:
    name = role_name(step)
    is_login = bool(step.state.declared("login"))
    noun = "login" if is_login else "role"
    role = context.roles.get(name)
    group = name if is_login else _group(context, name)
    if not is_login and group in {"create": context.created_schemas, "delete": context.dropped_schemas}.get(
        step.op, ()
    ):
        return []
    origin: MappingPath = ("modules", step.name) if is_login else ("postgres", "schemas", group)

    def change(risk: Risk, sentence: str, where: MappingPath = origin, alike: str = "") -> RatedChange:
        return RatedChange(risk, STORE, group, sentence, name, where, (step.urn,), alike=alike if is_login else "")

    if step.op == "create":
        sentence = f"{noun} {code(name)} is created"
        found = [RatedChange(Risk.ADDITIVE, STORE, group, sentence, name, origin, (step.urn, *context.inventory))]
        # In a new database there is nothing yet that an attribute opens.
        is_new = any(item.op == "create" for item in context.steps(DATABASE))
        found += [change(Risk.ADDITIVE if is_new else risk, sentence) for risk, sentence in _attributes(step, name)]
        return found + _memberships(context, step, name, group)
    if step.op == "delete":
        if is_owner(role):
            return [
                change(Risk.DATA_LOSS, f"owner role {code(name)} is dropped; objects that it still owns may be lost")
            ]
        if role is None and not is_login:
            return [change(Risk.DATA_LOSS, f"role {code(name)} is dropped; objects that it owns may be lost")]
        sentence = f"{noun} {code(name)} is dropped with all its privileges"
        if is_login:
            sentence += "; its sessions are terminated first"
        grants = (
            grant.urn for grant in context.steps(GRANT) if grant.op == "delete" and grant.old.live("role") == name
        )
        urns = (step.urn, *grants, *context.inventory)
        return [RatedChange(Risk.ACCESS_REVOKED, STORE, group, sentence, name, origin, urns)]
    if step.op == "replace":
        old = str(step.old.live("name", name))
        risk = Risk.DATA_LOSS if is_owner(context.roles.get(old)) else Risk.ACCESS_REVOKED
        return [change(risk, f"{noun} {code(old)} is dropped and {code(name)} is created in its place")]
    found = _memberships(context, step, name, group)
    found += [change(risk, sentence) for risk, sentence in _attributes(step, name)]
    if generic.differs(step, "password") and name not in _rotated(context):
        sentence = f"the password of {SUBJECTS} is reset"
        found.append(change(Risk.RESTART, sentence.replace(SUBJECTS, code(name)), alike=sentence))
    for key, label in (
        ("searchPaths", "search_path"),
        ("connectionLimit", "connection limit"),
        ("statementTimeout", "statement_timeout (ms)"),
        ("idleInTransactionSessionTimeout", "idle_in_transaction_session_timeout (ms)"),
        ("validUntil", "password expiry (VALID UNTIL)"),
    ):
        if generic.differs(step, key):
            before, after = (inputs.get(key) for inputs in (step.old.inputs, step.new.inputs))
            changes_value = f"changes from {code(generic.as_text(before))} to {code(generic.as_text(after))}"
            sentence = f"{label} of {code(name)} {changes_value} for new connections"
            alike = f"{label} of {SUBJECTS} {_list_change(before, after) or changes_value} for new connections"
            found.append(change(Risk.RESTART, sentence, (*origin, "postgres") if is_login else origin, alike))
    other_keys = generic.changed_keys(step) - _DESCRIBED - _LIMITS
    if other_keys:
        listed = codes(sorted(other_keys))
        alike = f"settings of {SUBJECTS} change: {listed}"
        found.append(change(Risk.RESTART, f"{noun} {code(name)} changes: {listed}", alike=alike))
    return found


def _list_change(old: object, new: object) -> str:
    """The members that a list gains or loses; empty for other values, and if the remaining members are reordered."""
    if not isinstance(old, list) or not isinstance(new, list):
        return ""
    added, removed = [item for item in new if item not in old], [item for item in old if item not in new]
    if [item for item in old if item in new] != [item for item in new if item in old]:
        return ""
    parts = [f"{verb} {codes(items)}" for verb, items in (("gains", added), ("loses", removed)) if items]
    return " and ".join(parts)


def _attributes(step: PreviewStep, name: str) -> Iterator[tuple[Risk, str]]:
    for key, (attribute, effect) in ROLE_ATTRIBUTES.items():
        before, after = bool(step.old.live(key)), bool(step.new.declared(key))
        if after and not before:
            yield Risk.ACCESS_WIDENED, f"{code(name)} gains {attribute}: {effect}"
        elif before and not after:
            yield Risk.ACCESS_REVOKED, f"{code(name)} loses {attribute}"


_LIMITS = {
    "password",
    "searchPaths",
    "connectionLimit",
    "statementTimeout",
    "idleInTransactionSessionTimeout",
    "validUntil",
}


def _rotated(context: ReviewContext) -> set[str]:
    """Users whose password is created or rotated. ``credentials`` describes those changes."""
    return {step.name for step in context.steps(CREDENTIAL) if step.op in ("create", "replace")}


def _memberships(context: ReviewContext, step: PreviewStep, name: str, group: str) -> list[RatedChange]:
    before = {str(role) for role in step.old.live("roles") or ()}
    after = {str(role) for role in step.new.declared("roles") or ()}
    result = []
    for role in sorted((after - before) | (before - after)):
        schema, gains = _group(context, role), role in after
        other_group = _same_schema(context, role, before if gains else after)
        if role == UNKNOWN or (other_group is not None and other_group.group is GroupKind.WRITER):
            # A writer can read as well, so neither leaving nor joining the readers changes what it can read.
            continue
        access_group = _member_group(context, role)
        access, verb = f"membership in {code(role)}", ""
        if access_group is not None:
            writes = access_group.group is GroupKind.WRITER
            access = f"write access to schema {code(schema)}" if writes else f"SELECT on all tables of {code(schema)}"
            verb = "writes" if writes else "reads"
        elif isinstance(context.roles.get(role), ConnectRole):
            if step.op == "create":
                continue
            access = "CONNECT on the database"
        sentence = f"{code(name)} {'gains' if gains else 'loses'} {access}"
        if access_group is not None:
            sentence += f" ({'as a member of' if gains else 'no longer a member of'} {code(role)})"
            if not gains and (kept := _kept(context, name, schema, reads=other_group is not None)):
                sentence += f"; it keeps {kept}"
        widened = Risk.ADDITIVE if schema in context.created_schemas else Risk.ACCESS_WIDENED
        origin = context.origins.access(name, "postgres", schema) if gains else ("modules", name, "postgres", verb)
        risk = widened if gains else Risk.ACCESS_REVOKED
        result.append(RatedChange(risk, STORE, group, sentence, name, origin, (step.urn,)))
    return result


def _same_schema(context: ReviewContext, role: str, others: set[str]) -> GroupRole | None:
    """The other one of a schema's writer and reader role, if it is among ``others``."""
    group = _member_group(context, role)
    for other in others - {role}:
        found = _member_group(context, other)
        if group is not None and found is not None and found.schema == group.schema:
            return found
    return None


def _kept(context: ReviewContext, login: str, schema: str, *, reads: bool) -> str:
    """What a login that leaves a group of ``schema`` can still do there; empty if nothing."""
    if reads:
        return f"SELECT on all tables of {code(schema)}"
    direct = _privileges(step.new for step in context.steps(GRANT) if step.new.live("role") == login)
    by_privileges: dict[str, list[PrivilegeTarget]] = defaultdict(list)
    for (_, target), privileges in direct.items():
        if target.schema == schema and target.object and privileges:
            by_privileges[plain(", ".join(sorted(privileges)))].append(target)
    return " and ".join(f"{names} on {codes(_joined(targets))}" for names, targets in sorted(by_privileges.items()))


def _grants(context: ReviewContext) -> list[RatedChange]:
    """Compare all grants together: a privilege that only moves from one grant to another is not a change."""
    old, new = (
        _privileges(step.old for step in context.steps(GRANT)),
        _privileges(step.new for step in context.steps(GRANT)),
    )
    groups_before, groups_after = _groups_of(context)
    steps = [step for step in context.steps(GRANT) if step.op != "same"]
    role_steps = {role_name(step): step for step in context.steps(ROLE)}
    dropped_roles = {name for name, step in role_steps.items() if step.op == "delete"}
    dropped_schemas = context.dropped_schemas
    readable = {
        target.schema for role, target in old if role == reader(target.schema, context.role_prefix) and target.object
    }
    granted = {(target.schema, target.object) for _, target in old}
    gained: dict[tuple[str, str, bool], dict[PrivilegeTarget, frozenset[str]]] = defaultdict(dict)
    lost: dict[tuple[str, str], dict[PrivilegeTarget, frozenset[str]]] = defaultdict(dict)
    for role, target in sorted(old.keys() | new.keys(), key=str):
        gains = {name for name in new.get((role, target), ()) if not _holds(old, groups_before, role, target, name)}
        losses = {name for name in old.get((role, target), ()) if not _holds(new, groups_after, role, target, name)}
        if gains:
            is_new = role != PUBLIC and _is_new(context, readable, granted, target)
            gained[role, target.schema, is_new][target] = frozenset(gains)
        if losses and role not in dropped_roles and target.schema not in dropped_schemas:
            lost[role, target.schema][target] = frozenset(losses)
    urns_of: dict[tuple[str, str], list[str]] = defaultdict(list)
    for step in steps:
        for role in {str(step.old.live("role")), str(step.new.declared("role"))}:
            urns_of[role, _schema(step)].append(step.urn)
    result = []
    for (role, schema, is_new), targets in gained.items():
        result += _changes_of(context, urns_of, role, schema, targets, "gains", is_new=is_new)
    for (role, schema), targets in lost.items():
        result += _changes_of(context, urns_of, role, schema, targets, "loses")
    return result + _grants_without_effect(context, steps, result, dropped_roles)


def _groups_of(context: ReviewContext) -> tuple[Groups, Groups]:
    """The group roles of each login, before and after: from the contracts, else from the Role resources."""
    before, after = (
        {f"{context.role_prefix}{name}": frozenset(use.member_of) for name, use in modules.items()}
        for modules in context.modules
    )
    for step in context.steps(ROLE):
        for groups, roles in ((before, step.old.live("roles")), (after, step.new.declared("roles"))):
            if roles is not None:
                groups[role_name(step)] = frozenset(map(str, roles))
    return before, after


def _holds(grants: Privileges, groups: Groups, role: str, target: PrivilegeTarget, privilege: str) -> bool:
    """Whether ``role`` has the privilege: granted to itself, to one of its groups or to everyone, on a column also by its
    table."""
    holders = {role, PUBLIC, *groups.get(role, ())}
    targets = {target, replace(target, column="")}
    return any(privilege in grants.get((holder, item), ()) for holder in holders for item in targets)


def _privileges(states: Iterable[ResourceState]) -> Privileges:
    result: Privileges = defaultdict(set)
    for state in states:
        role, kind = str(state.live("role", "")), str(state.live("objectType", ""))
        schema = str(state.live("schema") or "")
        privileges = {str(item) for item in state.live("privileges") or ()}
        if kind == "database":
            targets = [PrivilegeTarget(kind, str(state.live("database", "")))]
        elif kind == "schema":
            targets = [PrivilegeTarget(kind, schema)]
        else:
            objects = [str(item) for item in state.live("objects") or ()] or ["(all)"]
            columns = [str(item) for item in state.live("columns") or ()] or [""]
            kind = "table" if kind == "column" else kind
            targets = [PrivilegeTarget(kind, schema, item, column) for item in objects for column in columns]
        for target in targets:
            result[role, target] |= privileges
    return result


def _is_new(context: ReviewContext, readable: set[str], granted: set[tuple[str, str]], target: PrivilegeTarget) -> bool:
    """Whether the object is new. A grant on a new object opens no existing data."""
    if target.kind == "database":
        return any(step.op == "create" for step in context.steps(DATABASE))
    if target.schema in context.created_schemas:
        return True
    # The schema's reader role has a grant on every existing table by name, so a table without grants is new.
    tables_known = target.kind == "table" and target.schema in readable
    return tables_known and (target.schema, target.object) not in granted


def _changes_of(
    context: ReviewContext,
    urns_of: dict[tuple[str, str], list[str]],
    role: str,
    schema: str,
    targets: dict[PrivilegeTarget, frozenset[str]],
    verb: str,
    *,
    is_new: bool = False,
) -> list[RatedChange]:
    """One sentence for each set of privileges. USAGE on a schema is omitted if there are privileges on its objects."""
    inside = {target: privileges for target, privileges in targets.items() if target.object}
    by_privileges: dict[tuple[str, ...], list[PrivilegeTarget]] = defaultdict(list)
    for target, privileges in (inside or targets).items():
        by_privileges[tuple(sorted(privileges))].append(target)
    result = []
    for privilege_names, found in by_privileges.items():
        listed = plain(", ".join(privilege_names))
        subject, group, plural = _subject(context, role)
        objects = sorted({item.object for item in found if item.object})
        if is_new and objects == [VERSION_TABLE] and len(by_privileges) > 1:
            # Every schema has this table, and every role with access to the schema may read it.
            continue
        predicate = {"gains": "gain", "loses": "lose"}[verb] if plural else verb
        origin = _origin(context, role, schema, objects)
        names = codes(_joined(found))
        note = ", which " + ("is" if len(objects) < 2 else "are") + " new" if is_new and objects else ""
        sentence = f"{subject} {predicate} {listed} on {names}{note}"
        if role == PUBLIC:
            sentence = f"**everyone** (PUBLIC) {verb} {listed} on {names}"
        widened = Risk.ADDITIVE if is_new else Risk.ACCESS_WIDENED
        risk = Risk.ACCESS_REVOKED if verb == "loses" else widened
        urns = tuple(urns_of.get((role, schema), ()))
        result.append(RatedChange(risk, STORE, group, sentence, role, origin, urns))
    return result


def _joined(targets: list[PrivilegeTarget]) -> list[str]:
    """Object names for a sentence; columns of the same table are joined."""
    columns: dict[str, list[str]] = defaultdict(list)
    whole_objects = []
    for target in targets:
        if target.column:
            columns[f"{target.schema}.{target.object}"].append(target.column)
        else:
            whole_objects.append(str(target))
    return sorted([*whole_objects, *(f"{table}({', '.join(sorted(names))})" for table, names in columns.items())])


def _schema(step: PreviewStep) -> str:
    state = step.state
    return str(state.live("database") if state.live("objectType") == "database" else state.live("schema") or "")


def _subject(context: ReviewContext, role: str) -> tuple[str, str, bool]:
    """The subject of a sentence about ``role``, the group that lists the sentence, and whether the subject is plural.

    For a writer or reader role, the subject is the modules that are its members.
    """
    if _member_group(context, role) is None:
        return code(role), role, False
    members = {name for name, use in context.modules[0].items() if role in use.member_of}
    for step in context.steps(ROLE):
        if step.op != "same" or step.new.inputs:
            (members.add if role in (step.new.declared("roles") or ()) else members.discard)(step.name)
    subject = f"{codes(sorted(members))} (through {code(role)})" if members else code(role)
    return subject, _group(context, role), len(members) > 1


def _origin(context: ReviewContext, role: str, schema: str, objects: list[str]) -> MappingPath:
    if _member_group(context, role) is not None:
        table = objects[0] if len(objects) == 1 else ""
        return ("postgres", "schemas", schema, "tables", table) if table else ("postgres", "schemas", schema)
    return context.origins.access(
        role.removeprefix(context.role_prefix), "postgres", *(f"{schema}.{item}" for item in objects), schema
    )


def _member_group(context: ReviewContext, name: str) -> GroupRole | None:
    """The writer or reader role of that name, or None. Modules are members of these group roles only."""
    role = context.roles.get(name)
    return role if isinstance(role, GroupRole) and not is_owner(role) else None


def _group(context: ReviewContext, name: str) -> str:
    """The group that lists a role's changes in the comment: its schema, its database, or its own name."""
    role = context.roles.get(name)
    if isinstance(role, GroupRole):
        return role.schema
    return role.database if isinstance(role, ConnectRole) else name


def _grants_without_effect(
    context: ReviewContext, steps: list[PreviewStep], described: list[RatedChange], dropped_roles: set[str]
) -> list[RatedChange]:
    """Describe changed grants that change nobody's privileges; the comment mentions every step."""
    described_urns = {urn for change in described for urn in change.urns}
    result = []
    for step in steps:
        role = str(step.state.live("role", ""))
        dropped = role in dropped_roles or _schema(step) in context.dropped_schemas
        if step.urn in described_urns or (step.op == "delete" and dropped):
            continue
        if role == PUBLIC and step.op == "delete":
            sentence = f"the revocation of PUBLIC's privileges on {code(_schema(step))} is no longer managed"
            result.append(RatedChange(Risk.ACCESS_WIDENED, STORE, PUBLIC, sentence, PUBLIC, (), (step.urn,)))
            continue
        verb = {"create": "created", "delete": "revoked", "replace": "recreated"}.get(step.op, "rewritten")
        group = _subject(context, role)[1] or step.name
        sentence = f"grant {code(step.name)} is {verb}"
        result.append(RatedChange(Risk.NONE, STORE, group, sentence, role or step.name, (), (step.urn,)))
    return result
