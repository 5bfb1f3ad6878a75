"""Compare each sentence of a review with what ``up`` changed on the servers.

The grammar is this module's own: it reads sentences as a person would, and shares no code with ``tools/review``. Each rule
is a pattern and a function that compares the sentence with the facts before and after, and marks the changes that the
sentence announces. A sentence without a rule is a failure, and so is a change that no sentence announced.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.support.live_facts import Fact, Facts

STRUCTURE = (
    "table", "column", "index", "constraint", "trigger", "row security", "policy", "function", "migration",
)  # fmt: skip
ON_OBJECTS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "USAGE", "EXECUTE")
Match = re.Match[str]
Rule = Callable[["Claims", Match], None]
_RULES: list[tuple[re.Pattern[str], Rule]] = []
_PLURAL = re.compile(
    r"(?:all )?(?P<count>\d+) (?P<noun>users|logins)(?: \((?P<names>`[^)]+)\))? (?P<verb>gain|lose|are) (?P<rest>(?!created,).+)"
)


def rule(pattern: str) -> Callable[[Rule], Rule]:
    """Register the function for sentences of this form."""

    def register(function: Rule) -> Rule:
        _RULES.append((re.compile(pattern), function))
        return function

    return register


def names_in(text: str) -> list[str]:
    """The names in a list such as "`a`, `b` and `c`"."""
    return re.findall(r"`([^`]+)`", text)


def count_in(text: str) -> int:
    """The number of names in a list such as "`a`, `b` and 5 more"."""
    more = re.search(r"and (\d+) more", text)
    return len(names_in(text)) + (int(more[1]) if more else 0)


@dataclass
class Claims:
    """The facts before and after one ``up``. ``wrong`` has each false sentence with the reason."""

    before: Facts
    after: Facts
    wrong: list[str] = field(default_factory=list)
    sentence: str = ""

    def __post_init__(self) -> None:
        changed = {
            fact for fact in self.before.keys() | self.after.keys() if self.before.get(fact) != self.after.get(fact)
        }
        self.changed = {fact for fact in changed if not self._held_on_the_whole_table(fact) and not self._new_age(fact)}
        self.announced: set[Fact] = set()

    def check(self, sentences: Iterable[str]) -> list[str]:
        """Each false sentence, and each change without a sentence."""
        for sentence in sentences:
            self.sentence = sentence
            if plural := _PLURAL.fullmatch(sentence):
                self._check_each(plural)
            else:
                self._check_one(sentence)
        silent = sorted(self.changed - self.announced)
        return [*self.wrong, *(f"no sentence announces {self.described(fact)}" for fact in silent)]

    def _check_one(self, sentence: str) -> None:
        found = [(match, function) for form, function in _RULES if (match := form.fullmatch(sentence))]
        self.must(len(found) == 1, f"{len(found)} rules of the test's grammar have this form")
        for match, function in found:
            function(self, match)

    def _check_each(self, plural: Match) -> None:
        """Compare a sentence about several users with each of those that it names, or could mean."""
        verb = {"gain": "gains", "lose": "loses", "are": "is"}[plural["verb"]]
        listed = set(names_in(plural["names"] or ""))
        kind = {"users": ("user", "access key"), "logins": ("role",)}[plural["noun"]]
        candidates = {fact[1] for facts in (self.before, self.after) for fact in facts if fact[0] in kind}
        true = set()
        for name in sorted(candidates):
            one = Claims(self.before, self.after)
            one._check_one(f"`{name}` {verb} {plural['rest']}")
            if not one.wrong:
                true.add(name)
                self.announced |= one.announced
        self.must(listed <= true and len(true) == int(plural["count"]), f"it is so for {sorted(true)}")

    def described(self, fact: Fact) -> str:
        def value(facts: Facts) -> str:
            return "nothing" if fact not in facts else repr(facts[fact][:200]) if facts[fact] else "present"

        return f"{fact}: {value(self.before)} -> {value(self.after)}"

    def fail(self, reason: str) -> None:
        self.wrong.append(f"{self.sentence!r}: {reason}")

    def must(self, condition: object, reason: str) -> None:
        if not condition:
            self.fail(reason)

    def appears(self, *fact: str) -> None:
        self.must(fact not in self.before, f"{fact} was there before")
        self.must(fact in self.after, f"{fact} is not there afterwards")
        self.announced.add(fact)

    def disappears(self, *fact: str) -> None:
        self.must(fact in self.before, f"{fact} was not there before")
        self.must(fact not in self.after, f"{fact} is still there afterwards")
        self.announced.add(fact)

    def becomes(self, fact: Fact, old: str, new: str) -> None:
        """The fact has these values; "" is the value of a missing one."""
        self.must(self.before.get(fact, "") == old, f"before, {fact} is {self.before.get(fact)!r} and not {old!r}")
        self.must(self.after.get(fact, "") == new, f"afterwards, {fact} is {self.after.get(fact)!r} and not {new!r}")
        self.announced.add(fact)

    def changes(self, *fact: str) -> None:
        self.must(fact in self.changed, f"{fact} did not change")
        self.announced.add(fact)

    def announce(self, *kinds: str, where: Callable[[Fact], object] = lambda _: True) -> set[Fact]:
        """Mark the changes of these kinds as announced, and return them."""
        found = {fact for fact in self.changed if fact[0] in kinds and where(fact)}
        self.announced |= found
        return found

    def _held_on_the_whole_table(self, fact: Fact) -> bool:
        """Whether a privilege on a column only moves from the table to the column, or back."""
        if fact[0] != "privilege" or not fact[2].endswith(")"):
            return False
        whole = (*fact[:2], fact[2].partition("(")[0], fact[3])
        return whole in (self.before if fact in self.after else self.after)

    def _new_age(self, fact: Fact) -> bool:
        """Whether it is the time to live of a key that no module of the other side uses."""
        return fact[0] == "time to live" and not (fact in self.before and fact in self.after)

    def may(self, facts: Facts, role: str, target: str, privilege: str) -> bool:
        """Whether the role has the privilege on a table, a column, a schema or a database."""
        whole = target.partition("(")[0]
        return ("privilege", role, target, privilege) in facts or ("privilege", role, whole, privilege) in facts

    def gains(self, role: str, target: str, privilege: str) -> None:
        self.must(not self.may(self.before, role, target, privilege), f"{role} had {privilege} on {target} before")
        self.must(self.may(self.after, role, target, privilege), f"{role} has no {privilege} on {target} afterwards")
        self.announced |= {("privilege", role, target, privilege), self.usage(role, target)}

    def loses(self, role: str, target: str, privilege: str) -> None:
        self.must(self.may(self.before, role, target, privilege), f"{role} had no {privilege} on {target} before")
        self.must(not self.may(self.after, role, target, privilege), f"{role} still has {privilege} on {target}")
        self.announced |= {("privilege", role, target, privilege), self.usage(role, target)}

    @staticmethod
    def usage(role: str, target: str) -> Fact:
        """The USAGE of the schema that a privilege on its objects needs."""
        return ("privilege", role, f"schema {target.partition('.')[0]}", "USAGE")

    def in_schema(self, facts: Facts, role: str, schema: str) -> set[tuple[str, str]]:
        """(target, privilege) of everything that the role may do with the objects in the schema."""
        return {
            (fact[2], fact[3])
            for fact in facts
            if fact[0] == "privilege" and fact[1] == role and fact[2].startswith(f"{schema}.")
        }


def targets_in(text: str) -> list[str]:
    """Tables, columns, schemas and databases: "`a.b` and `c.d(e, f)`" has three."""
    found = []
    for name in names_in(text):
        table, bracket, columns = name.partition("(")
        found += [f"{table}({column})" for column in columns.rstrip(")").split(", ")] if bracket else [name]
    return found
