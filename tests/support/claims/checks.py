"""Sentences about the stack's own lists, and about checks that change nothing."""

from tests.support.claims.compare import Claims, Match, rule


# Sentences about the stack's own lists and about checks that change nothing.
@rule(r"the list of logins and schemas is updated")
@rule(r"the list of schemas whose grants change is updated")
@rule(r"privileges on tables of `[^`]+` are checked against the mapping(?: after its grants)?")
@rule(r"migrations of `[^`]+` are checked again")
@rule(r"grant `[^`]+` is (?:created|revoked|recreated|rewritten)")
@rule(r"the streams are checked again")
@rule(r"the users are reapplied")
@rule(r"versioning of `[^`]+` is reapplied")
@rule(r"the rules of bucket `[^`]+` are reapplied")
@rule(r"`[^`]+`: (?:its policy|the public access block) is reapplied")
def _nothing(_claims: Claims, _match: Match) -> None:
    pass
