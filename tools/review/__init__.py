"""Previews for reviewers: ``python3 -m tools review`` turns ``pulumi preview --json`` into one Markdown comment and a verdict.

``preview`` reads what the engine wrote, ``kinds`` says what a change of each resource type means, ``verdict`` weighs
it, ``comment`` writes it. It may import ``components``; nothing imports it.
"""
