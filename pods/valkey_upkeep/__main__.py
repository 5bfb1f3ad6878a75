"""Run ``python3 -m maintenance COMMAND --plan FILE``. Exit code 0, 1 for an error (one line), 2 for findings."""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from . import acl, keys, streams, trim
from .plan import UpkeepPlan
from .resp import Endpoint, MaintenanceError, UnreachableError, endpoints, primary, retry_until_ready

FINDINGS = 2
INTERRUPTED = 130  # as in a shell: 128 + SIGINT
PLAN = Path(__file__).with_name("plan.json")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="maintenance",
        description="Maintain a running Valkey. VALKEY_* environment variables set its address and user.",
    )
    top_commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        command = top_commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        command.add_argument("--plan", type=Path, default=PLAN, help="the plan, a JSON file (default: %(default)s)")
        command.add_argument(
            "--wait", type=float, default=0, metavar="SECONDS", help="seconds to wait for a server that is not ready"
        )
        return command

    add("streams", "create missing streams and consumer groups")
    add("trim", "remove stream entries that are past their retention").add_argument(
        "--json", action="store_true", help="print a JSON document"
    )
    audit_arguments(add("keys", "check every key's pattern, type and TTL"))
    reload = add("acl", "make every server in VALKEY_HOST load its ACL file, until it has the expected version")
    reload.add_argument("--mark", required=True, help="the user whose name identifies the expected version of the file")
    return top


def audit_arguments(command: argparse.ArgumentParser) -> None:
    """Add the options of ``keys``."""
    shape = command.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print a JSON document")
    shape.add_argument("--prometheus", action="store_true", help="print metrics in Prometheus' text format")
    command.add_argument(
        "--rate",
        type=_positive,
        default=keys.RATE,
        metavar="N",
        help="maximum number of keys per second (default: %(default)s)",
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    options = parser().parse_args(arguments)
    try:
        return _run(options)
    except MaintenanceError as error:
        print(f"error: {error}{_remedy(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def _remedy(error: MaintenanceError) -> str:
    text = str(error)
    if isinstance(error, UnreachableError):
        return "; check that it runs and that VALKEY_HOST, VALKEY_PORT and VALKEY_TLS are right"
    if "WRONGPASS" in text or "NOAUTH" in text:
        return "; set VALKEY_USER and its password to a user of the server"
    if "READONLY" in text:
        return "; set VALKEY_HOST to the primary, or to a comma-separated list of all nodes"
    if "NOPERM" in text:
        return "; the user needs the ACL rules of the maintenance user"
    return ""


def _run(options: argparse.Namespace) -> int:
    servers = endpoints(os.environ)
    if options.command == "acl":
        acl.reload(servers, options.mark, options.wait)
        print(f"users loaded on {len(servers)} servers" if len(servers) > 1 else "users loaded")
        return 0
    plan = _plan(options.plan)
    if options.command == "streams":
        # Retry the whole command: a new primary refuses writes until its replicas are connected.
        made = retry_until_ready(options.wait, lambda: _make_streams(servers, plan))
        print("\n".join(f"created {name}" for name in made) or "all streams and groups exist")
        return 0
    with retry_until_ready(options.wait, lambda: primary(servers)) as connection:
        if options.command == "trim":
            return report_trimmed(list(trim.trim(connection, plan)), as_json=options.json)
        return report_audit(keys.audit(connection, plan, options.rate), options)


def _make_streams(servers: list[Endpoint], plan: UpkeepPlan) -> list[str]:
    with primary(servers) as connection:
        return streams.make(connection, plan)


def report_trimmed(results: list[trim.Trimmed], *, as_json: bool) -> int:
    """Print the results. Return exit code 2 if unprocessed entries were removed, or block the trimming of a queue."""
    if as_json:
        print(json.dumps([asdict(result) for result in results], indent=2))
    else:
        print("\n".join(trim.text(results, int(time.time() * 1000))))
    return FINDINGS if any(result.lost or result.held for result in results) else 0


def report_audit(result: keys.KeyAudit, options: argparse.Namespace) -> int:
    """Print the audit in the format that ``options`` select. Return exit code 2 if a key differs from the plan."""
    if options.json:
        print(json.dumps(result.document(), indent=2))
    else:
        print("\n".join(keys.prometheus(result, time.time()) if options.prometheus else keys.text(result)))
    return FINDINGS if result.wrong else 0


def _plan(path: Path) -> UpkeepPlan:
    try:
        plan: UpkeepPlan = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MaintenanceError(
            f"the plan {path} can't be read: {error.strerror}; pass the right path with --plan"
        ) from None
    except ValueError as error:
        raise MaintenanceError(f"the plan {path} is not JSON: {error}") from None
    return plan


if __name__ == "__main__":
    sys.exit(main())
