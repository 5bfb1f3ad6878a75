"""Messages of the local stack name commands that work there."""

import pytest

from tools.local.remedies import for_local_stack


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("database gone does not exist; run pulumi up", "database gone does not exist; run make up"),
        ("run `pulumi refresh`, then `pulumi up`", "run `make refresh`, then `make up`"),
        (
            "run: pulumi config set stellaops-storage:adoptDatabase true, then run up again",
            "run: python3 -m tools pulumi config set stellaops-storage:adoptDatabase true, then run up again",
        ),
        ("run `pulumi up --target URN`", "run `python3 -m tools pulumi up --target URN`"),
        ("https://www.pulumi.com/docs and pulumi-postgresql", "https://www.pulumi.com/docs and pulumi-postgresql"),
    ],
)
def test_a_command_of_the_engine_becomes_one_of_the_local_stack(text: str, expected: str) -> None:
    assert for_local_stack(text) == expected
