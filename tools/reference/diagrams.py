"""Write diagrams in Mermaid: entity relations of a schema, data flow, streams."""

import re
from collections.abc import Sequence

from components.mapping import Mapping
from components.mapping.model import Schema, Table
from tools.reference.catalog import Catalog, TableFacts

# Mermaid does not accept a comma in a type.
_TWO_NUMBERS = re.compile(r"\([^)]*,[^)]*\)")

MODULE, STORE, STREAM = ('["{}"]', '[("{}")]', '(["{}"])')


def entity_relations(name: str, schema: Schema, catalog: Catalog) -> str:
    """Draw the ``erDiagram`` of a schema: every column with its type and key, an arrow for every foreign key."""
    lines = ["erDiagram"]
    for table, definition in {**schema.tables, **schema.runtime_tables}.items():
        lines += _entity(table, definition, catalog.get((name, table), TableFacts()))
    for table in schema.tables:
        facts = catalog.get((name, table), TableFacts())
        for key in facts.foreign_keys:
            optional = not set(key.columns) <= facts.not_null
            target = key.target.removeprefix(f"{name}.")
            lines.append(f'  "{target}" {"|o" if optional else "||"}--o{{ "{table}" : "{", ".join(key.columns)}"')
    return "\n".join(lines)


def _entity(table: str, definition: Table, facts: TableFacts) -> list[str]:
    foreign = {column for key in facts.foreign_keys for column in key.columns}
    unique = {columns[0] for columns in facts.uniques if len(columns) == 1}
    rows = []
    for column, kind in definition.columns.items():
        marks = [
            mark for mark, members in (("PK", facts.primary_key), ("FK", foreign), ("UK", unique)) if column in members
        ]
        rows.append(f"    {_TWO_NUMBERS.sub('', kind)} {column} {', '.join(marks)}".rstrip())
    return [f'  "{table}" {{', *rows, "  }"]


def data_flow(mapping: Mapping) -> str:
    """Draw the data flows of the mapping between modules, and to the store of each module."""
    nodes: dict[str, str] = {}
    edges = []
    for flow in mapping.data_flows:
        nodes[flow.source] = MODULE.format(mapping.modules[flow.source].name)
        if flow.module is not None:
            end = flow.module
            nodes[end] = MODULE.format(mapping.modules[end].name)
        elif flow.postgres is not None:
            end = f"pg_{flow.postgres}"
            nodes[end] = STORE.format(f"PostgreSQL {flow.postgres}")
        else:
            end = f"s3_{_word(flow.rustfs or '')}"
            nodes[end] = STORE.format(f"RustFS {flow.rustfs}")
        edges.append((flow.source, end))
    return flowchart(nodes, edges)


def streams(mapping: Mapping) -> str:
    """Draw producers, streams and consumers; a module that is both appears on both sides."""
    nodes: dict[str, str] = {}
    edges = []
    for name, stream in mapping.valkey.streams.items():
        middle = f"stream_{_word(name)}"
        nodes[middle] = STREAM.format(name)
        groups = [group.consumer for group in stream.groups.values()]
        for producer in stream.producers:
            nodes[f"from_{producer}"] = MODULE.format(mapping.users[producer].name)
            edges.append((f"from_{producer}", middle))
        for consumer in dict.fromkeys([*stream.consumers, *groups]):
            nodes[f"to_{consumer}"] = MODULE.format(mapping.users[consumer].name)
            edges.append((middle, f"to_{consumer}"))
    return flowchart(nodes, edges)


def _word(text: str) -> str:
    """Turn any text into the id of a node."""
    return re.sub(r"\W", "_", text)


def flowchart(nodes: dict[str, str], edges: Sequence[tuple[str, str]]) -> str:
    """Draw a ``flowchart`` from left to right. ``nodes`` maps an id to its shape with its label."""
    lines = ["flowchart LR", *(f"  {node}{shape}" for node, shape in nodes.items())]
    return "\n".join([*lines, *(f"  {start} --> {end}" for start, end in edges)])
