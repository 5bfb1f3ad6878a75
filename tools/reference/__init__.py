"""Generate documentation: Markdown pages in ``docs/reference/``, and an HTML site of everything in ``docs/``.

``python3 -m tools docs`` writes both; with ``--check``, it fails if the pages are not current.
"""
