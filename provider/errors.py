"""The one exception for an expected failure: of a resource, an offline plugin or a day-two command."""


class ProviderError(Exception):
    """What is wrong and what to do, for the user to read. Never raised for a fault of the program itself, and never
    holds a secret."""
