"""``python -m mongo_gcp_stream.testing`` prints the path of the mongod that tests use."""

import sys

from mongo_gcp_stream.testing.binary import MongodUnavailableError, find_mongod


def _main() -> None:
    try:
        print(find_mongod())  # noqa: T201
    except MongodUnavailableError as error:
        sys.exit(f"error: {error}\nhint: {error.hint}")


_main()
