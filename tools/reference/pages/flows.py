"""The data-flow diagram and the streams between modules."""

from tools.reference import diagrams
from tools.reference.facts import Facts
from tools.reference.markdown import Page, fence, page


def pages(facts: Facts) -> list[Page]:
    return [
        page(
            "reference/data-flow.md",
            "Data flow",
            "Overview",
            "How data moves from module to module, and where each keeps its own.",
            fence("mermaid", diagrams.data_flow(facts.mapping)),
            "## Events",
            "Who adds entries to each stream (left) and who consumes them (right), each in a group of its own.",
            fence("mermaid", diagrams.streams(facts.mapping)),
        )
    ]
