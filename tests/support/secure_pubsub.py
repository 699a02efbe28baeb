"""What Google Cloud has and its fakes have not: Pub/Sub over TLS, and tokens for it."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import grpc
from google.cloud.pubsub_v1.types import PublishRequest, PublishResponse

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Any

    from typing_extensions import Self

_SERVICE = "google.pubsub.v1.Publisher"


class SecurePubSub:
    """Takes messages over TLS from whoever brings a token that is not refused.

    Args:
        certificate: File with certificate and key.
        refused: Authorizations that are answered with UNAUTHENTICATED.

    Attributes:
        authorizations: The header of each request, in their order.
        messages: What was taken, as the clients of Pub/Sub show it.
    """

    def __init__(self, certificate: Path, *, refused: tuple[str, ...] = ()) -> None:
        self.authorizations: list[str] = []
        self.messages: list[Any] = []
        self._refused = refused
        self._server = grpc.server(ThreadPoolExecutor(4, "pubsub"))
        method = grpc.unary_unary_rpc_method_handler(
            self._publish, PublishRequest.deserialize, PublishResponse.serialize
        )
        handler = grpc.method_handlers_generic_handler(_SERVICE, {"Publish": method})
        self._server.add_generic_rpc_handlers((handler,))
        pem = certificate.read_bytes()
        credentials = grpc.ssl_server_credentials([(pem, pem)])
        port = self._server.add_secure_port("127.0.0.1:0", credentials)
        self.endpoint = f"https://localhost:{port}"

    def _publish(self, request: Any, context: grpc.ServicerContext) -> Any:
        authorization = dict(context.invocation_metadata()).get("authorization", "")
        self.authorizations.append(authorization)
        if authorization in self._refused:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "the token is not valid")
        self.messages.extend(request.messages)
        return PublishResponse(message_ids=[str(number) for number in range(len(request.messages))])

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.stop(None).wait()


class MetadataServer:
    """The metadata server of a machine on Google Cloud, which gives another token each time.

    Args:
        not_ready: How often it is asked for a token before it has one.
    """

    def __init__(self, *, not_ready: int = 0) -> None:
        self.asked = 0
        lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path, _, _ = self.path.partition("?")
                if not path.endswith("/service-accounts/default/token"):
                    self.send_error(404)
                    return
                with lock:
                    outer.asked += 1
                    number = outer.asked
                if number <= not_ready:
                    self.send_error(503)
                    return
                token = {"access_token": f"token-{number}", "expires_in": 3600}
                body = json.dumps({**token, "token_type": "Bearer"}).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def host(self) -> str:
        """What `GCE_METADATA_HOST` is set to."""
        return f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
