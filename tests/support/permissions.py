"""A Pub/Sub with permissions: what no emulator has. It answers look-ups of one topic only."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
from google.cloud.pubsub_v1 import types
from google.iam.v1 import iam_policy_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from typing_extensions import Self

_VIEW = "pubsub.topics.get"


class PermissionsFake(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Every topic exists; the caller has the permissions that are given. For a `with` block.

    Args:
        permissions: What the caller has.
        outages: How many look-ups fail with UNAVAILABLE before the first is answered.
    """

    def __init__(self, permissions: Iterable[str], *, outages: int = 0) -> None:
        self._permissions = set(permissions)
        self._outages = outages
        self._server = grpc.server(ThreadPoolExecutor(2), handlers=[self])
        self.grpc_address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        """The value for `PUBSUB_EMULATOR_HOST`."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Find what answers a method; the others are unimplemented."""
        answers = {
            "/google.pubsub.v1.Publisher/GetTopic": self._topic,
            "/google.iam.v1.IAMPolicy/TestIamPermissions": self._granted,
        }
        answer = answers.get(handler_call_details.method)
        return answer and grpc.unary_unary_rpc_method_handler(answer)

    def _topic(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        if self._outages > 0:
            self._outages -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "try again")
        if _VIEW not in self._permissions:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, f"no {_VIEW}")
        name = types.GetTopicRequest.deserialize(request).topic
        answer: bytes = types.Topic.serialize(types.Topic(name=name))
        return answer

    def _granted(self, request: bytes, _context: grpc.ServicerContext) -> bytes:
        asked = iam_policy_pb2.TestIamPermissionsRequest.FromString(request)
        assert asked.resource.startswith("projects/")
        granted = [one for one in asked.permissions if one in self._permissions]
        answer = iam_policy_pb2.TestIamPermissionsResponse(permissions=granted)
        encoded: bytes = answer.SerializeToString()
        return encoded

    def __enter__(self) -> Self:
        """Serve."""
        self._server.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop serving."""
        self._server.stop(None).wait()
