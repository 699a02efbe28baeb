"""Secrets that sing: texts that may stand in no output, in whatever form."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator


class Canaries:
    """Looks for secrets in what a program has written.

    Args:
        secrets: Texts of at least eight characters by what they are.
    """

    def __init__(self, **secrets: str) -> None:
        self._secrets = secrets

    def add(self, name: str, secret: str) -> None:
        """Look for one more."""
        self._secrets[name] = secret

    def sung(self, output: bytes) -> list[str]:
        """Name every secret that stands in `output`, and the form in which it does."""
        text = output.decode("latin-1")
        folded = text.casefold()
        # A log may break or escape a line where it likes; what is left are the characters.
        dense = re.sub(r"[\s\\]+", "", folded)
        return [
            f"{name} as {form}"
            for name, secret in self._secrets.items()
            for form, needle in _forms(secret)
            if needle.casefold() in folded or needle.casefold() in dense
        ]


def _forms(secret: str) -> Iterator[tuple[str, str]]:
    data = secret.encode()
    yield "text", data.decode("latin-1")
    yield "percent encoding", quote(secret, safe="")
    yield "hex", data.hex()
    yield "hex with spaces", data.hex(" ")
    yield "list of bytes", ", ".join(map(str, data))
    yield "reversed", secret[::-1]
    for form, cut in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
        for shift in range(3):
            # What surrounds it shifts it; its inner groups of three are the same in each shift.
            inner = data[shift : shift + (len(data) - shift) // 3 * 3]
            yield f"{form} shifted by {shift}", cut(inner).decode()
    if re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", secret):
        raw = bytes.fromhex(secret)
        yield "base64 of its bytes", base64.b64encode(raw[: len(raw) // 3 * 3]).decode()
        yield "its bytes", raw.decode("latin-1")
