"""Documentation from the mapping: Markdown pages under ``docs/reference/`` and one HTML site of everything in ``docs/``.

``python -m tools.reference`` writes both; ``--check`` fails when the pages are not current. Nothing else imports it.
"""
