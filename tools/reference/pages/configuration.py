"""The page about stack config, generated from its model."""

from collections.abc import Iterable

from components.config.keys import Declared, declared
from components.config.model import Settings
from components.config.namespace import NAMESPACE
from tools.reference.markdown import Page, code, codes, page, prose, table

PATH = "reference/configuration.md"

# Field of the model that groups keys -> heading of their section.
HEADINGS = {
    "": "The stack",
    "postgres": "PostgreSQL",
    "valkey": "Valkey",
    "valkey_deployment": "Valkey on Kubernetes",
    "kubernetes": "Kubernetes",
    "object_store": "Object store",
    "backups": "Backups",
}


def pages() -> list[Page]:
    sections: dict[str, list[Declared]] = {}
    for item in declared(Settings):
        sections.setdefault(item.path[0] if len(item.path) > 1 else "", []).append(item)
    blocks = [block for name, items in sections.items() for block in (f"## {HEADINGS[name]}", _table(items))]
    return [
        page(
            PATH,
            "Stack configuration",
            "Operation",
            f"Set a key with `pulumi config set KEY VALUE`, a secret with `pulumi config set --secret KEY`, which prompts for "
            f"the value. Keys without a namespace belong to {code(NAMESPACE)}, as in "
            f"{code(f'{NAMESPACE}:postgresHost')}. The stack's values are in `stacks/Pulumi.<stack>.yaml`. A key that is not "
            "set or is empty has its default.",
            *blocks,
        )
    ]


def _table(items: Iterable[Declared]) -> str | None:
    return table(
        ["Key", "Type", "Default", "Allowed", "What it sets"],
        [[code(item.key.name), _type(item), _default(item), _allowed(item), item.key.description] for item in items],
    )


def _type(item: Declared) -> str:
    return item.pulumi_type + (", secret" if item.key.secret else "")


def _default(item: Declared) -> str:
    if item.default is None:
        return "**must be set**"
    text = str(item.default).lower() if isinstance(item.default, bool) else str(item.default)
    return code(text) if text else ""


def _allowed(item: Declared) -> str:
    if item.pulumi_type == "boolean" or item.key.secret:
        return ""
    if item.choices:
        return codes(item.choices)
    return prose(f"comma-separated, each {item.allowed}" if item.is_list else item.allowed)
