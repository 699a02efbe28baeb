"""That type checkers know every public type."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

#: Their base classes are Beam's, whose types are partial.
BEAM = ("mongo_gcp_stream.beam.", "mongo_gcp_stream.demo.beam_line.")

VERIFY = ("--verifytypes", "mongo_gcp_stream", "--ignoreexternal")


def test_pyright_knows_every_public_type() -> None:
    folder = Path(sys.executable).parent
    # It finds the package by the `python` on PATH.
    ended = subprocess.run(
        [folder / "pyright", "--outputjson", *VERIFY],
        env={**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    symbols = json.loads(ended.stdout)["typeCompleteness"]["symbols"]
    exported = [s for s in symbols if s["isExported"] and not s["name"].startswith(BEAM)]
    assert len(exported) > 300, ended.stdout
    assert [s["name"] for s in exported if not s["isTypeKnown"] or s["isTypeAmbiguous"]] == []
