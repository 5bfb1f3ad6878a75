"""Where the migrations of the schemas are."""

from pathlib import Path

SQL_DIRECTORY = Path("sql")  # relative to the project, with a directory for each schema
