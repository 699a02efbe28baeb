"""Reading configurations: what `mongo_gcp_stream.config` is made of."""

from os import PathLike

def resolve_file(config_path: str | PathLike[str]) -> tuple[str, str, str, list[str]]:
    """Reads a configuration file with its `.env` and the environment; connects nothing.

    Gives four: JSON of what was written, overrides and variables in place; the same with the
    defaults filled in; that with the secrets masked; and one sentence for each key without effect.

    Raises:
        ConfigError: It is wrong, at `path`.
    """

def resolve_mapping(json: str) -> tuple[str, str, str, list[str]]:
    """The same for JSON text of a mapping as it would stand in a file."""
