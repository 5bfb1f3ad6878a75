"""The resource classes of the Pulumi provider ``stellaops``, one module per store.

``provider/`` implements them. Names are snake_case here and camelCase in state, previews and ``pulumi import``.
"""
