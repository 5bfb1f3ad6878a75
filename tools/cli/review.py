"""The commands that show reviewers what a change does."""

import argparse
from pathlib import Path

from tools.cli.command import LOCAL, Argument, Command, CommandGroup, Invocation, Make, Scope
from tools.cli.files import given, given_or_stdin
from tools.review.risk import Risk

MAPPING = "schema-mapping.yaml"


def _review(invocation: Invocation) -> int:
    from tools.local import commands
    from tools.local.errors import UserError
    from tools.review import command
    from tools.review.errors import ReviewError

    options = invocation.options
    if not options.files and not options.stack:
        options.stack = [LOCAL]
    for stack in options.stack:
        commands.use_environment_of(stack)
    if options.mapping is None:
        options.mapping = commands.mapping_of_local_stack() if LOCAL in options.stack else Path(MAPPING)
    try:
        return command.run(options)
    except ReviewError as error:
        raise UserError(str(error)) from None


def _publish(invocation: Invocation) -> int:
    from tools.local.errors import UserError
    from tools.review import publish
    from tools.review.errors import ReviewError

    try:
        return publish.run(invocation.options)
    except ReviewError as error:
        raise UserError(str(error)) from None


def _risk(text: str) -> Risk:
    try:
        return Risk.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


COMMANDS = (
    Command(
        "review", "turn previews into one Markdown comment for reviewers; the exit code is the verdict",
        CommandGroup.REVIEW, _review, Scope.NAMED,
        (
            Argument("files", "what `pulumi preview --json` wrote; - is standard input", metavar="FILE",
                     parse=given_or_stdin, repeated=True),
            Argument("--stack", "run the preview of this stack; without it and without a FILE, of the local stack",
                     metavar="NAME", repeated=True),
            Argument("--output", "write the comment to this file instead of standard output", metavar="FILE", parse=given),
            Argument("--json", "write the full report to this file", metavar="FILE", parse=given),
            Argument("--threshold", "the least risk that fails the check; without it, the stack's reviewThreshold",
                     metavar="RISK", parse=_risk),
            Argument("--approve", "a label of the pull request, or a JSON array of labels", metavar="LABEL", repeated=True),
            Argument("--drift", "what `drift --json` wrote", metavar="FILE", parse=given, repeated=True),
            Argument("--mapping", "the mapping that changes are traced to; without it, the local stack's own or schema-mapping.yaml", metavar="FILE", parse=given),
            Argument("--source-url", "the repository at the commit, for links: https://host/owner/name/blob/SHA",
                     metavar="URL", default=""),
            Argument("--report-url", "where the full report is available, for a link in the comment", metavar="URL",
                     default=""),
        ),
        machine_output=True, exit_2="the check fails, because a risk reaches the threshold and no label approves it", make=Make("review", "STACK=dev"),
    ),
    Command(
        "review publish", "post a comment on a pull request, or update the one that is there", CommandGroup.REVIEW, _publish,
        arguments=(
            Argument("comment", "the file that `review --output` wrote", metavar="FILE", parse=given, required=True),
            Argument("--number", "the pull request's number", metavar="N", parse=int, required=True),
            Argument("--forge", "where the pull request is", choices=("github", "gitlab"), default="github"),
        ),
        details="GitHub: GITHUB_TOKEN, GITHUB_REPOSITORY, GITHUB_API_URL. GitLab: REVIEW_TOKEN, CI_PROJECT_ID, CI_API_V4_URL.",
    ),
)  # fmt: skip
