"""Sentences about logins, privileges, schemas, migrations and tenant isolation."""

import re

from tests.support.claims.compare import STRUCTURE, Claims, Match, count_in, names_in, rule, targets_in
from tests.support.live_facts import Facts


@rule(r"(?P<who>`[^`]+`) (?P<verb>gains|loses) (?P<what>[A-Z]+(, [A-Z]+)*) on (?P<where>`.+`)(, which (is|are) new)?")
@rule(
    r"(?P<who>`.+`) \(through (?P<group>`[^`]+`)\) (?P<verb>gains?|loses?) (?P<what>[A-Z]+(, [A-Z]+)*) on (?P<where>`.+?`)"
    r"(, which (is|are) new)?"
)
def _privileges(claims: Claims, match: Match) -> None:
    group = match.groupdict().get("group")
    roles = [*names_in(match["who"]), *(names_in(group) if group else [])]
    compare = claims.gains if match["verb"].startswith("gain") else claims.loses
    for role in roles:
        for target in targets_in(match["where"]):
            for privilege in match["what"].split(", "):
                compare(role, target, privilege)
    if ", which " in match[0]:
        for target in targets_in(match["where"]):
            table = target.partition("(")[0]
            claims.must(("table", table) not in claims.before, f"{table} existed before")
    if not group and len(roles) == 1:
        # Every role with access to a schema may read its version table, which only sentences without other tables name.
        schemas = {target.partition(".")[0] for target in targets_in(match["where"])}
        claims.announce(
            "privilege",
            where=lambda fact: fact[1] == roles[0] and fact[2] in {f"{schema}.schema_migrations" for schema in schemas},
        )


@rule(r"`([^`]+)` gains SELECT on all tables of `([^`]+)` \(as a member of `([^`]+)`\)")
def _reader(claims: Claims, match: Match) -> None:
    login, schema, group = match.groups()
    claims.appears("member", login, group)
    tables = [fact[1] for fact in claims.after if fact[0] == "table" and fact[1].startswith(f"{schema}.")]
    claims.must(tables, f"{schema} has no tables")
    for table in tables:
        claims.must(claims.may(claims.after, login, table, "SELECT"), f"{login} may not read {table}")
    claims.must(
        any(not claims.may(claims.before, login, table, "SELECT") for table in tables), f"{login} read all before"
    )
    claims.announce(
        "privilege",
        where=lambda fact: fact[1] == login and fact[2].startswith(f"{schema}.") and fact[3] in ("SELECT", "EXECUTE"),
    )
    claims.announced.add(claims.usage(login, f"{schema}."))


@rule(r"`([^`]+)` gains write access to schema `([^`]+)` \(as a member of `([^`]+)`\)")
def _writer(claims: Claims, match: Match) -> None:
    login, schema, group = match.groups()
    claims.appears("member", login, group)
    missing = claims.in_schema(claims.after, group, schema) - claims.in_schema(claims.after, login, schema)
    claims.must(not missing, f"{login} lacks {sorted(missing)}")
    had = claims.in_schema(claims.before, login, schema)
    claims.must(not any(privilege != "SELECT" for _, privilege in had), f"{login} could write before: {sorted(had)}")
    claims.announce("privilege", where=lambda fact: fact[1] == login and fact[2].startswith(f"{schema}."))
    claims.announced.add(claims.usage(login, f"{schema}."))


@rule(
    r"`([^`]+)` loses (?:SELECT on all tables of|write access to schema) `([^`]+)` \(no longer a member of `([^`]+)`\)"
    r"(?:; it keeps (.+))?"
)
def _leaves_group(claims: Claims, match: Match) -> None:
    login, schema, group, kept = match.groups()
    claims.disappears("member", login, group)
    left = {
        item for item in claims.in_schema(claims.after, login, schema) if not item[0].endswith(".schema_migrations")
    }
    expected: set[tuple[str, str]] = set()
    if kept and kept.startswith("SELECT on all tables of"):
        expected = {(target, privilege) for target, privilege in left if privilege in ("SELECT", "EXECUTE")}
    elif kept:
        for privileges, where in re.findall(r"([A-Z, ]+) on (`.+?`)(?= and [A-Z]|$)", kept):
            expected |= {(target, name) for target in targets_in(where) for name in privileges.split(", ")}
    claims.must(left == expected, f"{login} keeps {sorted(left)}")
    claims.announce(
        "privilege",
        where=lambda fact: (
            fact[1] == login
            and (fact[2].startswith(f"{schema}.") or fact[2] == f"schema {schema}")
            and fact not in claims.after
        ),
    )


@rule(r"login `([^`]+)` is created")
def _login_created(claims: Claims, match: Match) -> None:
    login = match[1]
    claims.appears("role", login)
    claims.must(claims.after.get(("role", login)) == "login", f"{login} may not log in")
    claims.announce("limit", "setting", "verifier", where=lambda fact: fact[1] == login)
    # Every login may connect to the stack's database.
    connect = claims.announce("member", where=lambda fact: fact[1] == login and fact[2].endswith("_connect"))
    claims.must(len(connect) == 1, f"{login} is no member of the role that may connect")
    claims.announce("privilege", where=lambda fact: fact[1] == login and fact[3] == "CONNECT")


@rule(r"`([^`]+)` (?:gains|loses) (SUPERUSER|CREATEROLE|CREATEDB|REPLICATION|BYPASSRLS)(?:: .+)?")
def _attribute(claims: Claims, match: Match) -> None:
    (claims.appears if " gains " in match[0] else claims.disappears)("attribute", match[1], match[2])


@rule(r"login `([^`]+)` is dropped with all its privileges; its sessions are terminated first")
def _login_dropped(claims: Claims, match: Match) -> None:
    login = match[1]
    claims.disappears("role", login)
    claims.disappears("session", login)
    claims.must(
        not any(fact[0] in ("privilege", "member") and fact[1] == login for fact in claims.after), "it has privileges"
    )
    claims.announce(
        "limit", "setting", "verifier", "member", "privilege", "attribute", where=lambda fact: fact[1] == login
    )


_SETTINGS = {
    "search_path": "search_path", "statement_timeout (ms)": "statement_timeout",
    "idle_in_transaction_session_timeout (ms)": "idle_in_transaction_session_timeout",
}  # fmt: skip


@rule(
    r"(search_path|statement_timeout \(ms\)|idle_in_transaction_session_timeout \(ms\)) of `([^`]+)` changes from `([^`]+)` to `([^`]+)` for new connections"
)
def _setting(claims: Claims, match: Match) -> None:
    label, login, old, new = match.groups()
    fact = ("setting", login, "", _SETTINGS[label])
    for facts, value in ((claims.before, old), (claims.after, new)):
        found = facts.get(fact, "").replace('"', "")
        claims.must(found == value, f"{fact} is {found!r} and not {value!r}")
    claims.announced.add(fact)


@rule(
    r"search_path of (?:all )?(?P<count>\d+) logins(?: \((?P<names>`[^)]+)\))? (?P<verb>gains|loses) (?P<items>`.+`) for new connections"
)
def _search_paths(claims: Claims, match: Match) -> None:
    had, has = (claims.before, claims.after) if match["verb"] == "gains" else (claims.after, claims.before)
    changed = {fact for fact in claims.changed if fact[0] == "setting" and fact[3] == "search_path"}
    found = {
        fact for fact in changed if fact in had and fact in has
        and _listed(has[fact]) - _listed(had[fact]) == set(names_in(match["items"]))
    }  # fmt: skip
    claims.must(set(names_in(match["names"] or "")) <= {fact[1] for fact in found}, f"it is so for {sorted(found)}")
    claims.must(len(found) == int(match["count"]), f"it is so for {len(found)} logins")
    claims.announced |= found


def _listed(search_path: str) -> set[str]:
    return {name.strip(' "') for name in search_path.split(",")}


@rule(r"connection limit of `([^`]+)` changes from `([^`]+)` to `([^`]+)` for new connections")
def _limit(claims: Claims, match: Match) -> None:
    login, old, new = match.groups()
    claims.becomes(("limit", login), old, new)


@rule(r"schema `([^`]+)` is created with its roles")
def _schema_created(claims: Claims, match: Match) -> None:
    schema = match[1]
    claims.appears("schema", schema)
    groups = {f"{schema}_{kind}" for kind in ("owner", "writer", "reader")}
    for group in groups:
        claims.appears("role", group)
    claims.announce("limit", "setting", "member", where=lambda fact: fact[1] in groups)
    claims.announce("schema leaves", where=lambda fact: fact[1] == schema)
    claims.announce("default privileges", where=lambda fact: fact[1] in groups)
    claims.announce("privilege", where=lambda fact: fact[1] in groups and fact[2] == f"schema {schema}")
    claims.announce("table", "column", "index", "constraint", where=lambda fact: "schema_migrations" in fact[1])
    # Both group roles read the table of its migrations.
    claims.announce(
        "privilege", where=lambda fact: fact[1] in groups and fact[2:] == (f"{schema}.schema_migrations", "SELECT")
    )


@rule(r"schema `([^`]+)` is dropped with all its tables")
def _schema_dropped(claims: Claims, match: Match) -> None:
    schema = match[1]
    claims.disappears("schema", schema)
    groups = {f"{schema}_{kind}" for kind in ("owner", "writer", "reader")}
    for group in groups:
        claims.disappears("role", group)
    remaining = [fact for fact in claims.after if fact[0] == "table" and fact[1].startswith(f"{schema}.")]
    claims.must(not remaining, f"{remaining} are still there")
    claims.announce(*STRUCTURE, where=lambda fact: fact[1].startswith(f"{schema}.") or fact[1] == schema)
    claims.announce("schema leaves", where=lambda fact: fact[1] == schema)
    claims.announce(
        "limit",
        "setting",
        "member",
        "default privileges",
        where=lambda fact: fact[1] in groups or (fact[2:3] and fact[2] in groups),
    )
    _announce_privileges(claims, schema)


def _announce_privileges(claims: Claims, schema: str) -> None:
    """All privileges on a schema and its objects that are lost."""
    claims.announce(
        "privilege",
        where=lambda fact: (
            fact not in claims.after and (fact[2].startswith(f"{schema}.") or fact[2] == f"schema {schema}")
        ),
    )


@rule(r"schema `([^`]+)` leaves the stack and is kept with its tables, owned by the admin; modules lose access to it")
def _schema_kept(claims: Claims, match: Match) -> None:
    schema = match[1]
    claims.must(
        claims.after.get(("schema", schema)) == claims.after[("database", "stellaops")], "the admin does not own it"
    )
    tables = {fact[1] for fact in claims.before if fact[0] == "table" and fact[1].startswith(f"{schema}.")}
    for table in tables:
        claims.must(("table", table) in claims.after, f"{table} is gone")
    left = [fact for fact in claims.after if fact[0] == "privilege" and fact[2].startswith(f"{schema}.")]
    claims.must(not left, f"roles still have {left}")
    groups = {f"{schema}_{kind}" for kind in ("owner", "writer", "reader")}
    claims.announce("schema leaves", "schema", where=lambda fact: fact[1] == schema)
    claims.announce("table", where=lambda fact: fact[1] in tables)
    claims.announce("function", "policy", where=lambda fact: fact[1].startswith(f"{schema}."))
    claims.announce(
        "role",
        "limit",
        "setting",
        "member",
        "default privileges",
        where=lambda fact: fact[1] in groups or (fact[2:3] and fact[2] in groups),
    )
    _announce_privileges(claims, schema)


@rule(
    r"schemas? (`.+`|`.+ more) will be (dropped|kept) with (?:its|their) tables when (?:it leaves|they leave) the mapping \(dropSchemas\)"
)
def _schema_leaves(claims: Claims, match: Match) -> None:
    verb = match[2]
    changed = {
        fact for fact in claims.changed if fact[0] == "schema leaves" and fact in claims.before and fact in claims.after
    }
    found = {fact for fact in changed if verb in claims.after[fact]}
    claims.must({fact[1] for fact in found} >= set(names_in(match[1])), f"only {found} change so")
    claims.must(len(found) == count_in(match[1]), f"{len(found)} change so")
    claims.announced |= found


@rule(r"migration `([^` ]+) (\d+)` .+ \(\d+ lines?, shown below\)")
def _migration(claims: Claims, match: Match) -> None:
    schema, number = match.groups()
    claims.must(
        any(
            fact[:2] == ("migration", schema) and int(fact[2]) == int(number) and fact not in claims.before
            for fact in claims.after
        ),
        f"the migration is not recorded in {schema}.schema_migrations",
    )
    # The review shows the SQL, which states what becomes of tables and indexes. Privileges have their own sentences.
    claims.announce(*STRUCTURE, where=lambda fact: fact[1].startswith(f"{schema}.") or fact[1] == schema)
    if dropped := re.search(r"ALTER TABLE (\w+\.\w+) DROP COLUMN (\w+)", match[0]):
        claims.disappears("column", dropped[1], dropped[2])
        claims.announce("privilege", where=lambda fact: fact[2] == f"{dropped[1]}({dropped[2]})")


def _refuses_changes(facts: Facts, table: str) -> bool:
    return {"append_only_row", "append_only_truncate"} <= {fact[2] for fact in facts if fact[:2] == ("trigger", table)}


@rule(r"`([^`]+)` is \*\*no longer append-only\*\*: its rows can be updated and deleted from now on")
def _append_only_off(claims: Claims, match: Match) -> None:
    table = match[1]
    claims.must(_refuses_changes(claims.before, table), "its triggers were missing before")
    claims.must(not any(fact[:2] == ("trigger", table) for fact in claims.after), "its triggers are still there")
    claims.announce("trigger", where=lambda fact: fact[1] == table)


@rule(r"(?:new table )?`([^`]+)` (?:becomes|is) append-only(?:: rows can no longer be updated or deleted)?")
def _append_only_on(claims: Claims, match: Match) -> None:
    table = match[1]
    claims.must(not _refuses_changes(claims.before, table), "it was append-only before")
    claims.must(_refuses_changes(claims.after, table), "its triggers are missing")
    may = [
        f
        for f in claims.after
        if f[0] == "privilege" and f[2].partition("(")[0] == table and f[3] in ("UPDATE", "DELETE", "TRUNCATE")
    ]
    claims.must(not may, f"roles still have {may}")
    claims.announce("trigger", where=lambda fact: fact[1] == table)


@rule(r"append-only tables in `[^`]+`: (`.+`)")
def _append_only_tables(claims: Claims, match: Match) -> None:
    claims.announced |= {
        fact for fact in claims.changed if fact[0] == "trigger" and fact[1].partition(".")[2] in names_in(match[1])
    }


@rule(
    r"tenant isolation is (?:switched on|\*\*switched off\*\*) for (\d+) tables in (\d+) schemas \(`postgres:tenantIsolation`\): (.+)"
)
def _isolation(claims: Claims, match: Match) -> None:
    tables, schemas, rest = match.groups()
    on = "switched on" in match[0]
    facts, others = (claims.after, claims.before) if on else (claims.before, claims.after)
    isolated = {fact[1] for fact in facts if fact[0] == "row security"}
    claims.must(not any(fact[0] == "row security" for fact in others), "tables are isolated on the other side, too")
    claims.must(len(isolated) == int(tables), f"{len(isolated)} tables have row-level security")
    claims.must(len({table.partition(".")[0] for table in isolated}) == int(schemas), "other schemas")
    exempt = re.search(r"; (`.+`) (?:is|are) exempt", rest)
    policies = " ".join(value for fact, value in facts.items() if fact[0] == "policy")
    for login in names_in(exempt[1]) if exempt else []:
        claims.must(re.search(rf"\b{login}\b", policies), f"no policy names {login}")
    claims.announce("row security", "policy", "function")


@rule(r"`([^`]+)` is (no longer )?exempt from tenant isolation in (`.+`)")
def _exempt(claims: Claims, match: Match) -> None:
    login, ends, schemas = match[1], bool(match[2]), names_in(match[3])

    def exempt(facts: Facts) -> set[str]:
        return {
            f[1].partition(".")[0]
            for f, value in facts.items()
            if f[0] == "policy" and re.search(rf"\b{login}\b", value)
        }

    old, new = (exempt(claims.before), exempt(claims.after)) if ends else (exempt(claims.after), exempt(claims.before))
    claims.must(
        old - new == set(schemas),
        f"{login} was exempt in {sorted(exempt(claims.before))}, now in {sorted(exempt(claims.after))}",
    )
    for schema in schemas:
        claims.announce("policy", where=lambda fact: fact[1].startswith(f"{schema}."))  # noqa: B023 - called at once


@rule(r"tenant isolation (covers|covers the new|\*\*no longer covers\*\*) (`.+`)")
def _covers(claims: Claims, match: Match) -> None:
    for table in names_in(match[2]):
        (claims.disappears if "no longer" in match[1] else claims.appears)("row security", table)
        claims.announce("policy", where=lambda fact: fact[1] == table)  # noqa: B023 - called at once


@rule(r"manual changes in schema `([^`]+)` are corrected: (`.+`)")
def _corrected(claims: Claims, match: Match) -> None:
    for drift in names_in(match[2]):
        missing = re.fullmatch(r"trigger (\S+) on (\S+) is missing", drift)
        claims.must(missing, f"no rule for {drift!r}")
        if missing:
            claims.appears("trigger", missing[2], missing[1])


@rule(r"(\w+) (`.+`|`.+ more) (?:is|are) (no longer )?protected against deletion(?: from now on)?")
def _protection(claims: Claims, match: Match) -> None:
    kind, names, ends = match[1].removesuffix("s") if match[1] != "Postgres" else match[1], match[2], match[3]
    facts, others = (claims.before, claims.after) if ends else (claims.after, claims.before)
    found = {fact for fact in facts if fact[0] == "protected" and fact[1] == kind and fact not in others}
    claims.must(
        {fact[2] for fact in found} >= set(names_in(names)) and len(found) == count_in(names), f"it is so for {found}"
    )
    claims.announced |= found


@rule(r"database `([^`]+)` is created")
def _database(claims: Claims, match: Match) -> None:
    claims.appears("database", match[1])
    # What every database has, and what is revoked from PUBLIC in it.
    claims.announce("schema", "extension", where=lambda fact: fact[1] in ("public", "plpgsql"))


@rule(r"role `([^`]+)` is created")
def _role(claims: Claims, match: Match) -> None:
    claims.appears("role", match[1])
    claims.announce("limit", "member", where=lambda fact: fact[1] == match[1])


@rule(r"everyone \(PUBLIC\) may no longer connect to (`.+`), unless the role has CONNECT itself")
def _closed(claims: Claims, match: Match) -> None:
    for database in names_in(match[1]):
        open_to = {
            fact[1]
            for fact in claims.after
            if fact[0] == "privilege" and fact[2:] == (f"database {database}", "CONNECT")
        }
        logins = {fact[1] for fact, kind in claims.after.items() if fact[0] == "role" and kind == "login"}
        claims.must(not open_to & logins, f"{sorted(open_to & logins)} may connect to {database}")


@rule(r"manual changes to privileges on tables of `([^`]+)` are corrected: (.+)")
def _privileges_corrected(claims: Claims, match: Match) -> None:
    for drift in match[2].replace("\\", "").split("; "):
        surplus = re.fullmatch(r"([A-Z]+) on (\w+) for (\w+): not in the mapping", drift)
        claims.must(surplus, f"no rule for {drift!r}")
        if surplus:
            privilege, table, role = surplus.groups()
            claims.must(
                not claims.may(claims.after, role, f"{match[1]}.{table}", privilege), f"{role} still has {drift}"
            )
