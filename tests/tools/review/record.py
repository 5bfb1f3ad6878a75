"""``python -m tests.tools.review.record [CASE...]``: bring up a stack of its own and record the previews of all cases.

Run it after a change of the program that changes its resources; then look at what changed in ``previews/`` and in the
tests that read them. It takes half an hour on two busy cores.
"""

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import yaml

from tests.support.stack import PROJECT, LocalStack, temporary_stack
from tests.support.watchdog import Watchdog
from tests.tools.review import recording
from tests.tools.review.cases import BASES, CASES, Case
from tools.local import environment
from tools.local.engine import tools
from tools.local.paths import VENV, State
from tools.pulumi_cli import PulumiCli, Result
from tools.review.engine import STREAMING

MAPPING = "schema-mapping.yaml"
NAMESPACE = "stellaops-storage"
# Not in a checkout, or not for the engine.
LEFT_OUT = ("tests", ".github", "docs")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.tools.review.record", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="only these; others stay as they are")
    options = parser.parse_args()
    unknown = sorted(set(options.cases) - CASES.keys())
    if unknown:
        parser.error(f"no case {', '.join(unknown)}; there are {', '.join(CASES)}")
    environment.scrub()
    watchdog = Watchdog()
    try:
        with tempfile.TemporaryDirectory() as directory:
            _record(Path(directory).resolve(), watchdog, options.cases or list(CASES))
    finally:
        watchdog.close()


def _record(directory: Path, watchdog: Watchdog, wanted: list[str]) -> None:
    project = directory / "project"
    with temporary_stack(directory / "state", watchdog) as stack:
        recorder = _Recorder(stack, project)
        recorder.reset()
        stack.must("up", "--servers-only")
        # The engine's stack and config are there after any command that needs them.
        stack.run("preview")
        first = recorder.printed(CASES["first"])
        stack.must("up")
        rest = recorder.documents(recorder.printed(Case()))
        at_rest = recording.states(rest)
        recording.DIRECTORY.mkdir(exist_ok=True)
        if set(wanted) == CASES.keys() or not (recording.DIRECTORY / f"{recording.AT_REST}.json").exists():
            recording.write_at_rest(at_rest)
        for base in BASES:
            found = [name for name in wanted if CASES[name].base == base]
            if found and BASES[base]:
                recorder.up(base)
            for name in found:
                printed = first if CASES[name].new else recorder.printed(CASES[name])
                recording.write(name, recording.pack(recorder.documents(printed), at_rest))
                print(f"recorded {name}", flush=True)


class _Recorder:
    """A copy of the project that each case changes, and the engine on it."""

    def __init__(self, stack: LocalStack, project: Path) -> None:
        self._stack = stack
        self._project = project
        self._state = State(stack.state)
        self._config = stack.state / "recorded.yaml"

    def reset(self) -> None:
        """The project as it is in the working tree."""
        shutil.rmtree(self._project, ignore_errors=True)
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=PROJECT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        for name in listed.stdout.splitlines():
            if not name.startswith(LEFT_OUT) and (PROJECT / name).exists():
                (self._project / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(PROJECT / name, self._project / name)
        (self._project / ".venv").symlink_to(VENV)

    def printed(self, case: Case) -> str:
        """What the engine prints for a case. The project and the stores are afterwards as before."""
        self.reset()
        mapping = yaml.safe_load((self._project / MAPPING).read_text())
        case.mapping(mapping)
        (self._project / MAPPING).write_text(yaml.safe_dump(mapping, sort_keys=False, width=200))
        case.files(self._project)
        self._configure({**BASES[case.base], **case.config})
        if case.sql:
            with self._stack.admin() as connection:
                connection.execute(case.sql.encode())
            self._stack.must("refresh")
        try:
            return self._preview(case)
        finally:
            if case.sql:
                self._stack.must("up")

    def up(self, base: str) -> None:
        """Bring the stack to other settings."""
        self.reset()
        self._configure(BASES[base])
        result = self._engine("up", "--yes", "--skip-preview")
        assert result.exit_code == 0, f"{base}:\n{result.stdout}\n{result.stderr}"

    def _configure(self, settings: dict[str, Any]) -> None:
        config = yaml.safe_load(self._state.config.read_text())
        config["config"].update({key if ":" in key else f"{NAMESPACE}:{key}": value for key, value in settings.items()})
        self._config.write_text(yaml.safe_dump(config))

    def _engine(self, *arguments: str, **environ: str) -> Result:
        engine = tools.existing_engine()
        settings = environment.of_engine(self._state, engine)
        settings["PULUMI_OPTION_CONFIG_FILE"] = str(self._config)
        return PulumiCli(engine.pulumi, settings, self._project).run(*arguments, settings=environ)

    def _preview(self, case: Case) -> str:
        result = self._engine("preview", "--json", **({} if case.plain else STREAMING))
        assert "{" in result.stdout, f"the engine printed no preview:\n{result.stdout}\n{result.stderr}"
        return result.stdout

    def documents(self, printed: str) -> list[Any]:
        """Without the places of this machine."""
        contract = yaml.safe_load(self._state.config.read_text())["config"]
        ports = {
            str(contract[f"{NAMESPACE}:postgresPort"]): "5432",
            str(contract[f"{NAMESPACE}:valkeyPort"]): "6379",
            str(contract[f"{NAMESPACE}:objectStoreEndpoint"]).rpartition(":")[2]: "9000",
        }
        places = {
            str(self._state.directory): "/srv/stack",
            str(self._project): "/srv/project",
            str(PROJECT): "/srv/project",
        }
        return recording.documents(printed, {**ports, **places})


if __name__ == "__main__":
    main()
