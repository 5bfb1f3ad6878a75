"""Generate every page of the reference. Each module here writes the pages of one subject from ``ReferenceFacts``."""

from collections.abc import Callable

from tools.reference.facts import ReferenceFacts
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

MAKERS: tuple[Callable[[ReferenceFacts], list[Page]], ...] = (
    overview.pages,
    access.pages,
    flows.pages,
    modules.pages,
    schemas.pages,
    valkey.pages,
    object_store.pages,
    retention.pages,
)


def generate(facts: ReferenceFacts) -> list[Page]:
    """Generate all pages, in the order of the site's list."""
    pages = [page for maker in MAKERS for page in maker(facts)]
    pages += configuration.pages()
    return [overview.index(pages), *pages]
