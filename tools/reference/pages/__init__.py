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

GENERATORS: tuple[Callable[[ReferenceFacts], list[Page]], ...] = (
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
    """Generate all pages, in the order of the site's navigation."""
    pages = [page for generator in GENERATORS for page in generator(facts)]
    pages += configuration.pages()
    return [overview.index(pages), *pages]
