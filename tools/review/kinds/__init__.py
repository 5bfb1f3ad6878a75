"""Sentences and risks for the changes of each resource type.

Each module in ``KINDS`` has ``TYPES`` and ``changes(context, steps)``. To cover another resource type, add its token to
a module's ``TYPES``, or add a module. ``generic`` describes all other types, with the highest risk that they could have.
"""

from types import ModuleType

from tools.review import alike
from tools.review.change import STORES, RatedChange
from tools.review.context import ReviewContext
from tools.review.kinds import (
    buckets,
    contract_access,
    contract_ages,
    credentials,
    generic,
    kubernetes,
    migrations,
    object_store_users,
    postgres_access,
    postgres_objects,
    privileges,
    valkey,
)

KINDS: tuple[ModuleType, ...] = (
    postgres_objects, migrations, postgres_access, privileges, valkey, kubernetes, buckets, object_store_users, credentials,
)  # fmt: skip


def changes(context: ReviewContext) -> list[RatedChange]:
    """All changes of a preview, sorted by store, then by descending risk."""
    known = {type_ for kind in KINDS for type_ in kind.TYPES}
    # Without a difference, the sentences of its kind would describe a change.
    repeated = {step.urn for step in context.preview.changes if generic.is_repeated(step) and not step.changed}
    result: list[RatedChange] = []
    for kind in KINDS:
        result += kind.changes(context, [step for step in context.steps(*kind.TYPES) if step.urn not in repeated])
    others = [step for step in context.preview.changes if step.type not in known and step.urn not in repeated]
    result += generic.changes(context, others)
    result += generic.repeated(context)
    result += contract_access.changes(context)
    result += contract_ages.changes(context)
    result += generic.protection(context)
    before, after = context.modules
    modules = before.keys() & after.keys() or context.origins.names("modules")
    result = alike.joined(result, modules, context.role_prefix)
    return sorted(result, key=lambda change: (STORES.index(change.store), -change.risk, change.group, change.sentence))
