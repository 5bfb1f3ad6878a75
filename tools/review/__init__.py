"""Review of previews: turn the output of ``pulumi preview --json`` into one Markdown comment and a verdict.

``preview`` parses the engine's output, ``kinds`` describes the changes of each resource type, ``verdict`` decides whether
the check fails, and ``comment`` writes the Markdown. Only ``tools/cli`` and ``tools/bench`` import this package.
"""
