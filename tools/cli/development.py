"""Commands for developers of this project."""

from pathlib import Path

from pods.valkey_upkeep.keys import RATE
from provider.postgres.lint import RULES
from tools.bench.parts import PARTS
from tools.cli.command import Argument, Command, CommandGroup, Invocation, Make, positive
from tools.cli.files import test_argument, user_path
from tools.cli.review import MAPPING

SQL = "sql"
WAIVER = """\
To waive a finding, write this comment before the statement: -- lint: allow RULE: REASON
For a migration that is already applied, add an entry to sql/lint.yaml."""


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
        "test", "run the tests", CommandGroup.DEVELOPMENT, _test, passes_on_to="pytest", passes_on_all=True, pass_on=test_argument,
        make=Make("test", "runs lint first; ARGS goes to pytest"), details="Builds what the tests need first.",
    ),
    Command(
        "lint", "check style, types, mapping, migrations and that generated files are current",
        CommandGroup.DEVELOPMENT, _lint, make=Make("lint"),
    ),
    Command("format", "rewrite Python files in the project's style", CommandGroup.DEVELOPMENT, _format, make=Make("format")),
    Command(
        "check-mapping", "check a mapping and print every problem with its place", CommandGroup.DEVELOPMENT, _check_mapping,
        arguments=(Argument("file", "the mapping", metavar="FILE", parse=user_path, default=Path(MAPPING)),),
    ),
    Command(
        "check-migrations", "check every schema's migrations for risky statements",
        CommandGroup.DEVELOPMENT, _check_migrations,
        arguments=(
            Argument("--mapping", "the mapping", metavar="FILE", parse=user_path, default=Path(MAPPING)),
            Argument("--sql", "the directory of the migrations", metavar="DIRECTORY", parse=user_path, default=Path(SQL)),
        ),
        details="\n".join(["Rules:", *(f"  {rule:<16} {item.text}" for rule, item in RULES.items()), "", WAIVER]),
    ),
    Command(
        "bench", "measure previews, first runs and larger mappings; print a table and draw a plot",
        CommandGroup.DEVELOPMENT, _bench,
        arguments=(
            Argument("--part", "measure only this part", choices=PARTS, repeated=True),
            Argument("--rounds", "the number of runs of each command; the results are medians", metavar="N", parse=positive, default=5),
            Argument("--factors", "the sizes of the part growth, as multiples of the mapping's modules; 40 takes 10 more minutes",
                     metavar="N,N...", parse=_factors, default="1,4,10"),
            Argument("--saved", "the largest factor for which a first up with checkpoints is measured", metavar="N", parse=int, default=4),
            Argument("--write", "write the table and the plot to docs/ and README.md", switch=True),
        ),
        make=Make("bench", 'ARGS="--rounds 3 --part no-op"'),
    ),
    Command(
        "bench keyspace", "measure the `keys` command on many keys, and how long it blocks other Valkey clients",
        CommandGroup.DEVELOPMENT, _bench_keyspace,
        arguments=(
            Argument("--keys", "the number of keys", metavar="N", parse=positive, default=1_000_000),
            Argument("--rate", "the maximum number of keys to read per second", metavar="N", parse=positive, default=RATE),
        ),
    ),
    Command(
        "kubernetes-plugin", "build the official Kubernetes plugin from source and install it, if it cannot be downloaded",
        CommandGroup.DEVELOPMENT, _kubernetes_plugin, make=Make("kubernetes-plugin"),
    ),
)  # fmt: skip
