"""Every key of stack config, from ``Pulumi.yaml``."""

from pathlib import Path
from typing import Any

import yaml

from components.config.namespace import NAMESPACE
from tools.reference.markdown import Page, code, page, prose, table

PATH = "reference/configuration.md"

# The engine takes no description for keys outside of the project's namespace.
ABOUT = {
    "pulumi:disable-default-providers": "No resource may slip to a provider that nobody configured",
    "objectStore:target": "What answers at the endpoint: rustfs, minio, or aws for Amazon S3",
    "postgres:tenantIsolation": "off, or row-level-security: PostgreSQL gives each session the rows of one tenant",
}


def page_of(project: Path) -> Page:
    """The page of a ``Pulumi.yaml``."""
    config: dict[str, dict[str, Any]] = yaml.safe_load(project.read_text(encoding="utf-8"))["config"]
    rows, fixed = [], []
    for key, item in config.items():
        if "type" not in item:
            fixed.append([code(key), code(str(item["value"])), prose(ABOUT[key])])
            continue
        secret = item.get("secret", False)
        needed = "**must be set**" if "default" not in item else ""
        default = code(_text(item["default"])) if item.get("default", "") != "" else needed
        rows.append(
            [code(key), item["type"] + (", secret" if secret else ""), default, prose(item.get("description", ""))]
        )
    return page(
        PATH,
        "Stack configuration",
        "Operation",
        f"Keys of the namespace {code(NAMESPACE)}, in `stacks/Pulumi.<stack>.yaml` or by `pulumi config set KEY VALUE`; "
        "secrets by `pulumi config set --secret KEY`, which asks for the value.",
        table(["Key", "Type", "Default", "What it does"], rows),
        "Keys of other namespaces, with the value that a stack has unless it sets its own (`pulumi config set KEY VALUE`):",
        table(["Key", "Value", "What it does"], fixed),
    )


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
