"""The lock files of ``requirements/``: complete, current, and nothing in production that does not belong there."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
LOCKS = {path.stem: path for path in (ROOT / "requirements").glob("*.lock")}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
# lock file -> the lists of pyproject.toml that it holds
CONTENT = {
    "runtime": [PROJECT["project"]["dependencies"]],
    "development": [
        PROJECT["project"]["dependencies"],
        PROJECT["dependency-groups"]["local"],
        PROJECT["dependency-groups"]["dev"],
    ],
    "bench": [PROJECT["dependency-groups"]["bench"]],
    "go": [PROJECT["dependency-groups"]["go"]],
}
# What a production install imports, without the commands of the local stack and of developers.
IN_PRODUCTION = ("clients", "components", "pods", "provider", "tools/operations", "tools/review")


class Pin(NamedTuple):
    version: str
    hashes: int


def name_of(requirement: str) -> tuple[str, str]:
    """(normalised name, version) of ``Name[extra]==1.0``."""
    name, _, version = requirement.partition("==")
    return re.sub(r"[-_.]+", "-", name.partition("[")[0]).lower(), version


def pins(name: str) -> dict[str, Pin]:
    found = {}
    for block in re.split(r"\n(?=[a-z])", LOCKS[name].read_text())[1:]:
        package, version = name_of(block.split()[0])
        found[package] = Pin(version, block.count("--hash=sha256:"))
    return found


def test_every_lock_file_is_known() -> None:
    assert set(LOCKS) == set(CONTENT)


@pytest.mark.parametrize("name", CONTENT)
def test_a_lock_file_has_the_versions_of_pyproject(name: str) -> None:
    wanted = dict(name_of(requirement) for part in CONTENT[name] for requirement in part)
    locked = {package: pin.version for package, pin in pins(name).items() if package in wanted}
    assert locked == wanted, "run requirements/update.sh"


@pytest.mark.parametrize("name", CONTENT)
def test_every_package_is_pinned_with_hashes_and_no_index_is_named(name: str) -> None:
    assert pins(name) and all(pin.hashes for pin in pins(name).values())
    text = LOCKS[name].read_text()
    assert "://" not in text and "index-url" not in text, "an install would depend on one machine's registry"


def test_a_binary_package_has_wheels_for_every_platform() -> None:
    """Each wheel has a hash: three Pythons, two Linux architectures and macOS at the least."""
    assert pins("runtime")["psycopg-binary"].hashes >= 9 and pins("runtime")["grpcio"].hashes >= 9


def test_lock_files_agree() -> None:
    development = pins("development")
    for name in ("runtime", "bench"):
        for package, pin in pins(name).items():
            assert development.get(package, pin) == pin, f"{package} differs between {name} and development"


def test_production_gets_no_gpl_no_test_tool_and_no_server() -> None:
    runtime = pins("runtime")
    more = {name_of(item)[0] for part in ("local", "dev", "bench", "go") for item in PROJECT["dependency-groups"][part]}
    assert not more & set(runtime)
    for package in runtime:
        try:
            metadata = importlib.metadata.metadata(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # of another platform
        licences = [
            metadata["License-Expression"] or "",
            metadata["License"] or "",
            *(metadata.get_all("Classifier") or []),
        ]
        # The Lesser GPL, psycopg's, allows use as a library.
        found = [text for text in licences if re.search(r"(?<!L)GPL|(?<!Lesser )General Public", text[:200])]
        assert not found, f"{package}: {found}"


def test_what_runs_in_production_imports_only_what_is_installed_there() -> None:
    """Imports inside functions included."""
    imported: set[str] = set()
    for path in (path for part in IN_PRODUCTION for path in (ROOT / part).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(str(node.module).partition(".")[0])
    imported -= sys.stdlib_module_names
    imported -= {path.name for path in ROOT.iterdir()}
    owners = importlib.metadata.packages_distributions()
    runtime = set(pins("runtime"))
    missing = {name for name in imported if not runtime & {name_of(owner)[0] for owner in owners.get(name, ())}}
    assert not missing, f"`pulumi up` on a real stack would not find {missing}"
