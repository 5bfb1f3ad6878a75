"""Every key of stack config, from ``Pulumi.yaml``."""

from pathlib import Path
from typing import Any

import yaml

from components.provider_config import NAMESPACE
from documentation.markdown import Page, code, page, prose, table

PATH = "reference/configuration.md"


def page_of(project: Path) -> Page:
    """The page of a ``Pulumi.yaml``."""
    config: dict[str, dict[str, Any]] = yaml.safe_load(project.read_text(encoding="utf-8"))["config"]
    rows, fixed = [], []
    for key, item in config.items():
        if "type" not in item:
            fixed.append([code(key), code(str(item["value"])), prose(item.get("description", ""))])
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
        "Keys of other namespaces, with the value that every stack has unless it sets its own:",
        table(["Key", "Value", ""], fixed),
    )


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
