"""kill -9 at any moment loses nothing and keeps the order."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from tests.support.mongod import RESUMABLE, failing
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.support.line import Line


def test_killed_before_any_event(line: Line) -> None:
    """The opening position is stored before anything is published."""
    with line.run() as process:
        eventually(line.checkpoint.exists, "the opening position stored")
        process.kill()
    orders = line.orders()
    orders.insert(100)
    assert line.catch_up().wait() == 0
    line.assert_delivered(orders)
    assert line.delivered() == 100


def test_killed_ten_times(line: Line) -> None:
    """The moments are counts of delivered messages, drawn with a fixed seed."""
    moments = random.Random(20)
    line.configure(checkpoint={"interval": "20ms"})
    line.prepare()
    orders = line.orders()
    for _ in range(10):
        orders.write(300)
        goal = line.delivered() + moments.randint(1, 300)
        with line.run() as process:
            line.pubsub.wait(messages=goal)
            process.kill()
    assert line.catch_up().wait() == 0
    line.assert_delivered(orders)


def test_an_invalidate_that_the_pipeline_hides(line: Line) -> None:
    """Killed after the drop was seen and before the stream could be opened anew."""
    line.configure(source={"pipeline": [{"$match": {"operationType": "insert"}}]})
    line.prepare()
    orders = line.orders()
    orders.insert(10)
    with line.run() as process:
        line.wait_until_delivered(orders)
        with failing(line.mongod, ["aggregate"], errorCode=91, errorLabels=[RESUMABLE]) as fault:
            line.collection.drop()
            fault.wait_until_hit()
            process.kill()
    orders.insert(10)
    assert line.catch_up().wait() == 0
    line.assert_delivered(orders)


def test_dropped_and_created_again_while_running(line: Line) -> None:
    line.configure(source={"pipeline": [{"$match": {"operationType": "insert"}}]})
    line.prepare()
    orders = line.orders()
    with line.run():
        for _ in range(3):
            orders.insert(10)
            line.collection.drop()
        orders.insert(10)
        line.wait_until_delivered(orders)
    line.assert_delivered(orders)


def test_a_drop_comes_after_what_was_before_it_and_before_what_follows(line: Line) -> None:
    line.prepare()
    orders = line.orders()
    orders.insert(50)
    line.collection.drop()
    orders.insert(50)
    assert line.catch_up().wait() == 0
    operations = [message.attributes["operation"] for message in line.pubsub.messages()]
    assert operations == ["insert"] * 50 + ["drop", "invalidate"] + ["insert"] * 50
