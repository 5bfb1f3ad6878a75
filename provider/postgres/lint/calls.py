"""Functions that a statement calls, and settings that it changes."""

from collections.abc import Iterator, Mapping

from postgast import AstNode
from postgast import nodes as ast
from postgast import pg_query_pb2 as enums

from provider.postgres.lint import Effect, LintFinding
from provider.postgres.lint.harmless_functions import HARMLESS, VOLATILE
from provider.postgres.syntax_tree import constant_text, nodes, strings

_FILES = "reads the server's files or log"
# PostgreSQL's functions that open or destroy something whoever calls them; also found inside functions.
_DANGEROUS = {
    "lo_export": (Effect.MAY_DO_ANYTHING, "writes a file of the server"),
    "lo_import": (Effect.WIDENS_ACCESS, _FILES),
    "lo_unlink": (Effect.DESTROYS_DATA, "deletes a large object"),
    "pg_current_logfile": (Effect.WIDENS_ACCESS, _FILES),
    "pg_hba_file_rules": (Effect.WIDENS_ACCESS, _FILES),
    "pg_read_binary_file": (Effect.WIDENS_ACCESS, _FILES),
    "pg_read_file": (Effect.WIDENS_ACCESS, _FILES),
    "pg_stat_file": (Effect.WIDENS_ACCESS, _FILES),
}
_DANGEROUS_PREFIXES = {
    "dblink": (Effect.MAY_DO_ANYTHING, "runs SQL in another session"),
    "pg_ls_": (Effect.WIDENS_ACCESS, _FILES),
    "query_to_xml": (Effect.MAY_DO_ANYTHING, "runs SQL that is composed at run time"),
}
_REMEDY = "remove it; the lint cannot determine what it does, so name the reason in a waiver if it is needed"

# Settings that decide who acts, what protects rows, or how text is read.
_SETTINGS = {
    "role": (Effect.WIDENS_ACCESS, "opening", "the owner role is left"),
    "session_authorization": (Effect.WIDENS_ACCESS, "opening", "the owner role is left"),
    "row_security": (Effect.WIDENS_ACCESS, "opening", "row-level security is switched"),
    "session_replication_role": (Effect.DESTROYS_DATA, "destructive", "triggers and foreign keys are switched off"),
    "lock_timeout": (Effect.BLOCKING, "lock", "the runner's limit of waiting is replaced"),
    "statement_timeout": (Effect.BLOCKING, "lock", "the runner's limit of waiting is replaced"),
    "transaction_timeout": (Effect.BLOCKING, "lock", "the runner's limit of waiting is replaced"),
}
_HARMLESS_SETTINGS = {
    "check_function_bodies", "client_min_messages", "constraint_exclusion", "datestyle", "default_table_access_method",
    "default_tablespace", "enable_seqscan", "extra_float_digits", "idle_in_transaction_session_timeout", "intervalstyle", "jit",
    "maintenance_work_mem", "max_parallel_maintenance_workers", "max_parallel_workers_per_gather", "temp_buffers", "timezone",
    "work_mem", "xmloption",
}  # fmt: skip


def dangerous_calls(statement: AstNode, line: int) -> Iterator[LintFinding]:
    """Findings on calls and settings that are dangerous whoever makes them, also later and inside a function."""
    for node in nodes(statement):
        match node:
            case ast.FuncCall():
                name = (strings(node.funcname) or ["?"])[-1].lower()
                if name == "set_config":
                    setting = constant_text(node.args[0]) if node.args else None
                    yield from _setting(setting, line)
                elif (danger := _danger(name)) is not None:
                    effect, message = danger
                    rule = "destructive" if effect == Effect.DESTROYS_DATA else "opening"
                    yield LintFinding(line, rule, f"{name}() {message}", "remove it", effect)
            case ast.VariableSetStmt() if node.kind not in (enums.VAR_RESET_ALL, enums.VAR_SET_MULTI):
                yield from _setting(node.name, line)
            case ast.VariableSetStmt() if node.kind == enums.VAR_RESET_ALL:
                yield LintFinding(line, "unknown", "RESET ALL resets what the runner sets", _REMEDY)


def _danger(name: str) -> tuple[Effect, str] | None:
    if name in _DANGEROUS:
        return _DANGEROUS[name]
    return next((danger for prefix, danger in _DANGEROUS_PREFIXES.items() if name.startswith(prefix)), None)


def _setting(name: str | None, line: int) -> Iterator[LintFinding]:
    if name is None:
        yield LintFinding(line, "unknown", "the name of a setting is composed at run time", _REMEDY)
        return
    known = _SETTINGS.get(name.lower())
    if known is not None:
        effect, rule, message = known
        yield LintFinding(line, rule, f"{message}: {name}", "remove it; the runner sets what a migration needs", effect)
    elif name.lower() not in _HARMLESS_SETTINGS and "." not in name and name.lower() != "search_path":
        yield LintFinding(line, "unknown", f"setting {name} is changed", _REMEDY)


def path_changes(statement: AstNode, line: int) -> Iterator[LintFinding]:
    """Findings on a change of ``search_path`` that lasts: afterwards names mean other objects."""
    for node in nodes(statement):
        call = isinstance(node, ast.FuncCall) and (strings(node.funcname) or ["?"])[-1].lower() == "set_config"
        named = constant_text(node.args[0]) if isinstance(node, ast.FuncCall) and call and node.args else None
        if isinstance(node, ast.VariableSetStmt):
            named = node.name
        if named is not None and named.lower() == "search_path":
            yield LintFinding(line, "unknown", "search_path is changed, so names mean other objects", "remove it")


def unknown_calls(
    statement: AstNode, line: int, functions: Mapping[tuple[str, ...], Effect], schema: str
) -> Iterator[LintFinding]:
    """Findings on calls that run now and are neither known to be harmless nor created by the same run."""
    for node in nodes(statement):
        match node:
            case ast.FuncCall():
                names = strings(node.funcname) or ["?"]
                yield from _call(names, line, functions, schema)
            case ast.A_Expr() if len(names := strings(node.name) or []) > 1 and names[0] != "pg_catalog":
                yield LintFinding(line, "unknown", f"operator {'.'.join(names)} runs a function", _REMEDY)
            case ast.ExecuteStmt():
                yield LintFinding(line, "unknown", f"prepared statement {node.name} runs", _REMEDY)


def _call(
    names: list[str], line: int, functions: Mapping[tuple[str, ...], Effect], schema: str
) -> Iterator[LintFinding]:
    shown = ".".join(names)
    if len(names) == 1 or names[0] == "pg_catalog":
        name = names[-1].lower()
        if name not in HARMLESS | VOLATILE and name != "set_config" and _danger(name) is None:
            yield LintFinding(line, "unknown", f"{shown}() runs, and the lint cannot determine what it does", _REMEDY)
    elif names[0] == schema and (effect := functions.get(tuple(names))) is not None:
        rule = {
            Effect.DESTROYS_DATA: "destructive",
            Effect.WIDENS_ACCESS: "opening",
            Effect.MAY_DO_ANYTHING: "unknown",
        }.get(effect)
        if rule is not None:
            yield LintFinding(line, rule, f"{shown}() runs, which the same file creates", _REMEDY)
    else:
        yield LintFinding(line, "unknown", f"{shown}() runs, and the lint cannot determine what it does", _REMEDY)


def runs_now(statement: AstNode) -> bool:
    """Whether the expressions of a statement are evaluated when it runs, not only later."""
    later = (
        ast.CreateFunctionStmt, ast.CreateStmt, ast.ViewStmt, ast.CreateTrigStmt, ast.CreatePolicyStmt, ast.RuleStmt,
        ast.CreateDomainStmt, ast.AlterPolicyStmt,
    )  # fmt: skip
    return not isinstance(statement, later)
