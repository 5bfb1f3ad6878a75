"""Generate every page of the reference. Each module here writes the pages of one subject from ``Facts``."""

from collections.abc import Callable
from pathlib import Path

from tools.reference.facts import Facts
from tools.reference.markdown import Page
from tools.reference.pages import (
    access,
    configuration,
    flows,
    modules,
    object_store,
    overview,
    retention,
    schemas,
    valkey,
)

MAKERS: tuple[Callable[[Facts], list[Page]], ...] = (
    overview.pages,
    access.pages,
    flows.pages,
    modules.pages,
    schemas.pages,
    valkey.pages,
    object_store.pages,
    retention.pages,
)


def generate(facts: Facts, project: Path) -> list[Page]:
    """Generate all pages, in the order of the site's list. ``project`` is ``Pulumi.yaml``."""
    pages = [page for maker in MAKERS for page in maker(facts)]
    pages.append(configuration.page_of(project))
    return [overview.index(pages), *pages]
