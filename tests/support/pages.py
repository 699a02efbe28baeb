"""The pages of the documentation, whose examples are tested."""

from __future__ import annotations

import re


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of a page that are in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
