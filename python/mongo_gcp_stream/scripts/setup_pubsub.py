"""Makes the topics and subscriptions that a configuration names.

The same as `mongo-gcp-stream setup`, with its options; the configuration is `config/config.yaml`
where none is given.
"""

from __future__ import annotations

import sys

from mongo_gcp_stream.cli import main as command

DEFAULT_CONFIG = "config/config.yaml"


def main(arguments: list[str] | None = None) -> None:
    """Runs `mongo-gcp-stream setup` and exits with its code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not {"--config", "-c", "--help", "-h"} & {part.partition("=")[0] for part in arguments}:
        arguments = ["--config", DEFAULT_CONFIG, *arguments]
    command(["setup", *arguments])


if __name__ == "__main__":
    main()
