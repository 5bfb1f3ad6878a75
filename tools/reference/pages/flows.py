"""Diagrams of the data flow and of the streams between modules."""

from tools.reference import diagrams
from tools.reference.facts import ReferenceFacts
from tools.reference.markdown import Page, fence, page


def pages(facts: ReferenceFacts) -> list[Page]:
    return [
        page(
            "reference/data-flow.md",
            "Data flow",
            "Overview",
            "How data flows between modules, and where each module stores its data.",
            fence("mermaid", diagrams.data_flow(facts.mapping)),
            "## Events",
            "The producers (left) and consumers (right) of each stream. Each consumer has its own consumer group.",
            fence("mermaid", diagrams.streams(facts.mapping)),
        )
    ]
