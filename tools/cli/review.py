"""Commands that describe the effects of a change to reviewers."""

import argparse
from pathlib import Path

from tools.cli.command import LOCAL, Argument, Command, CommandGroup, Invocation, Make, Scope
from tools.cli.files import path_or_stdin, user_path
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
            Argument("files", "output of `pulumi preview --json`; - for standard input", metavar="FILE",
                     parse=path_or_stdin, repeated=True),
            Argument("--stack", "preview this stack; without a FILE, the default is the local stack",
                     metavar="NAME", repeated=True),
            Argument("--output", "write the comment to this file instead of standard output", metavar="FILE", parse=user_path),
            Argument("--json", "write the full report to this file", metavar="FILE", parse=user_path),
            Argument("--threshold", "the lowest risk that fails the check; by default the stack's reviewThreshold",
                     metavar="RISK", parse=_risk),
            Argument("--approve", "a label of the pull request, or a JSON array of labels", metavar="LABEL", repeated=True),
            Argument("--drift", "output of `drift --json`", metavar="FILE", parse=user_path, repeated=True),
            Argument("--mapping", "the mapping that changes are traced to; by default the local stack's own or schema-mapping.yaml", metavar="FILE", parse=user_path),
            Argument("--source-url", "the URL of the files at the commit, for links: https://host/owner/name/blob/SHA",
                     metavar="URL", default=""),
            Argument("--report-url", "the URL of the full report, for a link in the comment", metavar="URL",
                     default=""),
        ),
        machine_output=True, exit_2="a risk reaches the threshold and no label approves it", make=Make("review", "STACK=dev"),
    ),
    Command(
        "review publish", "post a comment on a pull request, or update the existing one", CommandGroup.REVIEW, _publish,
        arguments=(
            Argument("comment", "the output file of `review --output`", metavar="FILE", parse=user_path, required=True),
            Argument("--number", "the pull request's number", metavar="N", parse=int, required=True),
            Argument("--report", "the output file of `review --json`: labels that it needs are created", metavar="FILE",
                     parse=user_path),
            Argument("--forge", "the forge that hosts the pull request", choices=("github", "gitlab"), default="github"),
        ),
        details="Reads these variables. GitHub: GITHUB_TOKEN, GITHUB_REPOSITORY, GITHUB_API_URL. GitLab: REVIEW_TOKEN, CI_PROJECT_ID, CI_API_V4_URL.",
    ),
)  # fmt: skip
