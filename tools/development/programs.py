"""Programs of the virtual environment, run to their end."""

import os
import subprocess
import sys

from tools.local.paths import ROOT, VENV

CHUNK_BYTES = 1 << 16
END_SECONDS = 10.0


def run(program: str, *arguments: str) -> int:
    """Run a program in the project's directory; its exit code. Raises ``BrokenPipeError`` when our reader has left.

    Without a terminal its output goes through us: many programs answer a closed pipe with a traceback.
    """
    command = [str(VENV / "bin" / program), *arguments]
    sys.stdout.flush()
    if sys.stdout.isatty():
        return subprocess.run(command, cwd=ROOT, check=False).returncode
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout
        try:
            while chunk := os.read(process.stdout.fileno(), CHUNK_BYTES):
                sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()
        except BaseException:
            process.terminate()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            raise
    return process.returncode
