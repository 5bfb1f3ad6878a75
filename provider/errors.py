"""The exception for expected failures of a resource, an offline plugin or a day-two command."""


class ProviderError(Exception):
    """A message for the user: what is wrong and what to do. Never contains a secret. Not for bugs in the program."""
