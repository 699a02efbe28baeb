"""Documents compared with the rules of `schemas`."""

from typing import final

from typing_extensions import Self

@final
class Validator:
    """The rules of every stream, compiled once; what `DocumentValidator` is made of.

    Example:
        >>> rules = Validator('{"main.orders": {"total": {"type": "number", "min": 0}}}')
        >>> rules.check("main.orders", bson.encode({"total": -1}))
        ['total: min']
    """

    def __new__(cls, schemas: str) -> Self:
        """Compile rules.

        Args:
            schemas: `schemas` of the configuration as JSON text: by the name of a stream,
                `<connection>.<source>`, and the dotted path of a field its rules.

        Raises:
            ConfigError: A rule is wrong; `path` names it, such as `schemas.main.orders.total.min`.
        """
    def check(self, stream: str, document: bytes) -> list[str]:
        """Return the rules that a document breaks, each as `path: rule`, never with a value.

        Args:
            stream: Name of a stream; one without rules takes every document.
            document: One BSON document.
        """
