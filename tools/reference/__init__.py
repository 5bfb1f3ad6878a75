"""Generate documentation: Markdown pages in ``docs/reference/``, and an HTML site of everything in ``docs/``.

``python -m tools.reference`` writes both; ``--check`` fails when the pages are not current. Nothing else imports it.
"""
