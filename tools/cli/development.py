"""The commands for work on the project itself."""

from pathlib import Path

from pods.valkey_upkeep.keys import RATE
from provider.postgres.lint import RULES
from tools.bench.parts import PARTS
from tools.cli.command import Argument, Command, CommandGroup, Invocation, Make, positive
from tools.cli.files import given, given_test
from tools.cli.review import MAPPING

SQL = "sql"
WAIVER = "Waiver: -- lint: allow RULE: REASON, just before the statement; for applied files an entry of sql/lint.yaml."


def _lint(_invocation: Invocation) -> int:
    from tools.development import checks

    return checks.lint()


def _format(_invocation: Invocation) -> int:
    from tools.development import checks

    return checks.rewrite()


def _check_mapping(invocation: Invocation) -> int:
    from tools.development import mapping

    return mapping.check(invocation.options.file)


def _check_migrations(invocation: Invocation) -> int:
    from tools.development import migrations

    return migrations.check(invocation.options.mapping, invocation.options.sql)


def _test(invocation: Invocation) -> int:
    from tools.development import testing

    return testing.run(invocation.passed_on)


def _bench(invocation: Invocation) -> int:
    from tools.development import benchmarks

    return benchmarks.run(invocation.options)


def _bench_keyspace(invocation: Invocation) -> int:
    from tools.bench import keyspace_audit

    return keyspace_audit.run(invocation.options.keys, invocation.options.rate)


def _kubernetes_plugin(_invocation: Invocation) -> int:
    from tools.development import kubernetes_plugin

    return kubernetes_plugin.install()


def _factors(text: str) -> list[int]:
    return [positive(part) for part in text.split(",")]


COMMANDS = (
    Command(
        "test", "run the tests", CommandGroup.DEVELOPMENT, _test, passes_on_to="pytest", takes_all=True, pass_on=given_test,
        make=Make("test", "runs lint first; ARGS goes to pytest"), details="Builds what the tests need first.",
    ),
    Command(
        "lint", "check style, types, the mapping, the migrations, and that generated files are current",
        CommandGroup.DEVELOPMENT, _lint, make=Make("lint"),
    ),
    Command("format", "rewrite Python files in the project's style", CommandGroup.DEVELOPMENT, _format, make=Make("format")),
    Command(
        "check-mapping", "check a mapping and print every problem with its place", CommandGroup.DEVELOPMENT, _check_mapping,
        arguments=(Argument("file", "the mapping", metavar="FILE", parse=given, default=Path(MAPPING)),),
    ),
    Command(
        "check-migrations", "check every schema's migrations for statements that lock, lose or break",
        CommandGroup.DEVELOPMENT, _check_migrations,
        arguments=(
            Argument("--mapping", "the mapping", metavar="FILE", parse=given, default=Path(MAPPING)),
            Argument("--sql", "the directory of the migrations", metavar="DIRECTORY", parse=given, default=Path(SQL)),
        ),
        details="\n".join(["Rules:", *(f"  {rule:<16} {item.text}" for rule, item in RULES.items()), "", WAIVER]),
    ),
    Command(
        "bench", "measure previews, first runs and larger mappings; print a table and draw a plot",
        CommandGroup.DEVELOPMENT, _bench,
        arguments=(
            Argument("--part", "measure only this part", choices=PARTS, repeated=True),
            Argument("--rounds", "runs of each command; medians are shown", metavar="N", parse=positive, default=5),
            Argument("--factors", "sizes of the growth part, as multiples of the mapping's modules; 40 takes 10 minutes more",
                     metavar="N,N...", parse=_factors, default="1,4,10"),
            Argument("--saved", "the largest factor of a first up with checkpoints", metavar="N", parse=int, default=4),
            Argument("--write", "write the table and the plot to docs/ and README.md", switch=True),
        ),
        make=Make("bench", 'ARGS="--rounds 3 --part no-op"'),
    ),
    Command(
        "bench keyspace", "measure the `keys` command on many keys, and how long its steps keep Valkey from other clients",
        CommandGroup.DEVELOPMENT, _bench_keyspace,
        arguments=(
            Argument("--keys", "the number of keys", metavar="N", parse=positive, default=1_000_000),
            Argument("--rate", "the most keys to read per second", metavar="N", parse=positive, default=RATE),
        ),
    ),
    Command(
        "kubernetes-plugin", "build the official Kubernetes plugin, where it is unavailable for download, and install it",
        CommandGroup.DEVELOPMENT, _kubernetes_plugin, make=Make("kubernetes-plugin"),
    ),
)  # fmt: skip
