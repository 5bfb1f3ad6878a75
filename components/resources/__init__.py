"""The classes of the Pulumi provider ``stellaops``, one module a store: what a program declares.

``provider/`` serves them. Names are snake_case here and camelCase in state, previews and ``pulumi import``.
"""
