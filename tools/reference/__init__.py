"""Generate documentation: Markdown pages in ``docs/reference/``, and an HTML site of everything in ``docs/``.

``python3 -m tools docs`` writes both; ``--check`` fails when the pages are not current.
"""
