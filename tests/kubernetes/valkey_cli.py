"""``valkey-cli`` for tests, as far as scripts and probes of the deployment use it: the wheel has the server alone.

Options as in Valkey 8; output as it is without a terminal: a line for each string, errors as such, exit code 1 for an
error with ``-e`` or for no connection.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from typing import Any

import valkey


def main() -> int:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("-e", action="store_true", dest="strict")
    parser.add_argument("-h", dest="host", default="127.0.0.1")
    parser.add_argument("-p", dest="port", type=int, default=6379)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--cacert")
    parser.add_argument("--user")
    parser.add_argument("--pass", dest="password")
    parser.add_argument("--no-auth-warning", action="store_true")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    client: Any = valkey.Valkey(
        host=options.host, port=options.port, ssl=options.tls, ssl_ca_certs=options.cacert, ssl_check_hostname=False,
        username=options.user, password=options.password or os.environ.get("REDISCLI_AUTH"), decode_responses=True,
        socket_connect_timeout=5,
    )  # fmt: skip
    client.response_callbacks.clear()  # answers as they come
    try:
        answer = client.execute_command(*options.command)
    except valkey.ConnectionError as error:
        print(f"Could not connect to Valkey at {options.host}:{options.port}: {error}", file=sys.stderr)
        return 1
    except valkey.ResponseError as error:
        print(f"ERR {error}")
        return 1 if options.strict else 0
    print("\n".join(lines(answer)))
    return 0


def lines(answer: Any) -> Iterator[str]:
    if isinstance(answer, list):
        for item in answer:
            yield from lines(item)
    else:
        yield "" if answer is None else str(answer)


if __name__ == "__main__":
    sys.exit(main())
