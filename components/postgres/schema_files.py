"""The directory of the migrations."""

from pathlib import Path

SQL_DIRECTORY = Path("sql")  # relative to the project, with a directory for each schema
