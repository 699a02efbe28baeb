"""`validate`, `check` and `setup`: what an operator asks before a run."""

from typing import final

def validate(config_path: str) -> Validation:
    """Load a configuration, refuse what `run` would refuse, and say where each value came from.

    Nothing is connected.

    Args:
        config_path: Path of a YAML file, read as :class:`Runner` reads it.

    Raises:
        ConfigError: The file cannot be read, or a key is wrong; `path` names it.
    """

def check(config_path: str, *, timeout_ms: int = 30_000) -> list[Finding]:
    """Connect to everything that a run would connect to, and say what is missing.

    Nothing is changed: change streams are opened and not read, no position moves, no message is
    published. Blocks without the GIL.

    Args:
        config_path: Path of a YAML file, read as :class:`Runner` reads it.
        timeout_ms: What is not answered after this many milliseconds is an error.

    Returns:
        The findings, those of one subject together: connections first, then topics.

    Raises:
        ConfigError: The file cannot be read, or a key is wrong; `path` names it.
        OSError: The threads of the core cannot be started.
    """

def setup(config_path: str, *, dry_run: bool = False, timeout_ms: int = 30_000) -> list[Step]:
    """Create the topics and subscriptions of a configuration; a second time does nothing.

    What exists gets the settings that the configuration names; nothing is deleted. Blocks without
    the GIL.

    Args:
        config_path: Path of a YAML file, read as :class:`Runner` reads it; it needs `gcp` and
            `pubsub`.
        dry_run: Connect to nothing and return the `gcloud` commands that make everything.
        timeout_ms: What is not done after this many milliseconds has failed.

    Returns:
        A step for each topic and subscription; those that failed do not keep the others from being
        made.

    Raises:
        ConfigError: The file cannot be read, or a key is wrong; `path` names it.
        MongoGcpStreamError: There are no usable Google credentials.
        OSError: The threads of the core cannot be started.
    """

@final
class EffectiveValue:
    """One key of a configuration, and where its value came from."""

    @property
    def path(self) -> str:
        """Dotted path, such as `pubsub.lanes`."""
    @property
    def value(self) -> str:
        """The value as JSON; secrets are `***`, and `null` is a key without value and default."""
    @property
    def source(self) -> str:
        """`file`, `override` (a `MONGO_GCP_STREAM__…` variable) or `default`."""
    @property
    def line(self) -> int | None:
        """Line of the file, from 1 on; `None` where it is not from the file."""
    @property
    def variables(self) -> dict[str, str]:
        """Variables in it by name: `environment`, `.env`, or `default` (after `:-`)."""

@final
class Validation:
    """What a configuration means."""

    @property
    def streams(self) -> list[str]:
        """Names of the streams: `"<connection id>.<source name>"`."""
    @property
    def warnings(self) -> list[str]:
        """What is accepted but has no effect yet, one sentence for each key."""
    @property
    def values(self) -> list[EffectiveValue]:
        """Every key, in the order of the documentation."""

@final
class Finding:
    """One thing that :func:`check` looked at."""

    @property
    def severity(self) -> str:
        """`ok`, `note` (nothing has to be done), `warning`, `error`, or `skipped`.

        A check is skipped where another finding keeps it from being made; `what` then says why.
        """
    @property
    def subject(self) -> str:
        """What was looked at: `connection main`, `topic shop-changes`."""
    @property
    def check(self) -> str:
        """Which check, a word that stays the same.

        For a connection `connect`, `version`, `topology`, `privileges`, `position`, `stream`,
        `oplog`, `images`, `connections`, `atlas`; for a topic `topic`, `publish`, `subscriptions`;
        for Pub/Sub as a whole `credentials`, `endpoint`; `timeout` for what took too long.
        """
    @property
    def what(self) -> str:
        """What was found, in one sentence, without a document's value, a token or a password."""
    @property
    def fix(self) -> str:
        """A command or a sentence; empty where there is nothing to do."""

@final
class Step:
    """What :func:`setup` did about one topic or subscription."""

    @property
    def action(self) -> str:
        """`planned` (dry run), `created`, `updated`, `unchanged`, `note`, `conflict` or `failed`.

        A conflict is a difference in what is fixed when a subscription is created.
        """
    @property
    def resource(self) -> str:
        """`topic <name>` or `subscription <name>`."""
    @property
    def what(self) -> str:
        """In one sentence; empty where `action` says it all."""
    @property
    def command(self) -> str:
        """The `gcloud` command that does the same, or what is to be done by hand."""
