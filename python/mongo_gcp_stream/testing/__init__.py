"""Real parts for tests of streams: a mongod and a Pub/Sub, without a container.

>>> from mongo_gcp_stream.testing import Emulator, Mongod
>>> with Mongod() as mongod, Emulator() as pubsub:
...     print(mongod.uri, pubsub.address)

``Mongod`` needs the extra ``demo``: ``pip install 'mongo_gcp_stream[demo]'``. The same as fixtures
for pytest: ``mongo_gcp_stream.testing.pytest_plugin``.
"""

from mongo_gcp_stream._core import Emulator, EmulatorStatistics
from mongo_gcp_stream.testing.binary import MongodUnavailableError, find_mongod
from mongo_gcp_stream.testing.mongod import Mongod

__all__ = ["Emulator", "EmulatorStatistics", "Mongod", "MongodUnavailableError", "find_mongod"]
