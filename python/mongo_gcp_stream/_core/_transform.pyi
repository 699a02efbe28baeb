"""What goes out for an event."""

def transform_event(
    config_yaml: str, stream: str, event: bytes, now_ms: int
) -> list[tuple[str, bytes, dict[str, str], str]]:
    """Make the messages of one change event, without any server.

    For tests: of a configuration, of an envelope, of what readers of the messages do. The same
    arguments give the same messages, on every machine.

    Args:
        config_yaml: A configuration as `run` takes it, with at least one topic. No variable of the
            environment is read.
        stream: `<connection id>.<source name>`.
        event: The change event as the server sends it, one BSON document.
        now_ms: When the server's reply came, in milliseconds since the epoch.

    Returns:
        The messages as topic (`projects/.../topics/...`, or `dead_letter`), data, attributes and
        ordering key; none for an event that makes none.

    Raises:
        ConfigError: The configuration is wrong.
        KeyError: The configuration has no such stream.
        MongoGcpStreamError: The event cannot be turned into a message, and there is no place for
            dead letters. The text holds no value of the event.
    """
