"""Documentation from the mapping: Markdown pages under ``docs/reference/`` and one HTML site of everything in ``docs/``.

``python3 -m tools docs`` writes both; ``--check`` fails when the pages are not current.
"""
