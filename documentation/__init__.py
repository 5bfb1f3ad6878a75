"""Documentation from the mapping: Markdown pages under ``docs/reference/`` and one HTML site of everything in ``docs/``.

``python -m documentation`` writes both; ``--check`` fails when the pages are not current. Nothing else imports it.
"""
