"""Deliveries: what is on its way to endpoints, and what became of it."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from storage.contract import Storage
from storage.errors import UnknownQueue
from storage.records import MessageAttribute, NewMessage
from storage.topic_contract import FINISHED_DELIVERIES_KEPT
from storage.topic_records import (
    Delivery,
    DeliveryFilter,
    DeliveryKind,
    DeliveryStatus,
    Lane,
    NewDelivery,
)
from tests.storage.builders import EPOCH_MS, WINDOW_MS, AQueue, a_queue
from tests.storage.test_sweep import sweep_all
from tests.storage.topic_builders import (
    LANE,
    a_copy,
    a_delivery,
    a_publishing,
    a_topic,
    archive,
    due,
    finished,
    listed,
    messages_of,
    publish,
    waiting,
)

#: Every field is another than in ``a_delivery``.
DETAILED = NewDelivery(
    account="111111111111",
    region="eu-west-1",
    protocol="https",
    endpoint="https://b/\N{ROCKET}",
    subscription_id=None,
    status=DeliveryStatus.FAILED,
    due_at_ms=None,
    created_at_ms=EPOCH_MS + 1,
    kind=DeliveryKind.UNSUBSCRIBE_CONFIRMATION,
    token="a token",
    attempts=3,
    last_attempt_at_ms=EPOCH_MS + 2,
    finished_at_ms=EPOCH_MS + 3,
    status_code=503,
    response="no\r\n\N{ROCKET}",
    dwell_ms=4,
)


async def send(storage: Storage, message: str, *deliveries: NewDelivery) -> list[Delivery]:
    """Publish directly; the deliveries as they are kept."""
    publishing = a_publishing(message, *(deliveries or (a_delivery(),)))
    assert await publish(storage, None, publishing) is not None
    return await listed(storage, message_id=f"id of {message}")


async def settle(
    storage: Storage,
    delivery: Delivery,
    details: NewDelivery,
    *,
    dead_letter: tuple[int, NewMessage] | None = None,
    at: int = 0,
) -> bool:
    return await storage.settle_delivery(
        delivery.delivery_id,
        details,
        dead_letter=dead_letter,
        now_ms=EPOCH_MS + at,
        deduplication_window_ms=WINDOW_MS,
    )


async def due_later(storage: Storage, lane: Lane = LANE, *, at: int) -> int | None:
    """When more falls due, counted like ``at``."""
    due_at_ms = await storage.lane_due_ms(lane, after_ms=EPOCH_MS + at)
    return None if due_at_ms is None else due_at_ms - EPOCH_MS


def bytes_in(folder: Path) -> int:
    """The size of all its files."""
    return sum(file.stat().st_size for file in folder.iterdir())


# --- what is due ------------------------------------------------------------------------------


async def test_an_unused_lane_is_empty(storage: Storage) -> None:
    assert await storage.pending_lanes() == []
    assert await due(storage, at=0) == []
    assert await due_later(storage, at=0) is None


async def test_a_delivery_is_due_at_its_moment(storage: Storage) -> None:
    [delivery] = await send(storage, "a", a_delivery(due=1_000))
    assert await due(storage, at=999) == []
    assert await storage.due_deliveries(LANE, now_ms=EPOCH_MS + 1_000, limit=1) == [delivery]
    assert await due(storage, at=5_000) == ["a"]


async def test_looking_at_what_is_due_changes_nothing(storage: Storage) -> None:
    await send(storage, "a")
    assert await due(storage, at=0) == await due(storage, at=0) == ["a"]


async def test_deliveries_are_due_in_order_of_moment_and_acceptance(storage: Storage) -> None:
    moments = {"a": 5, "b": 3, "c": 5, "d": 1, "e": 3, "f": 9}
    for message, moment in moments.items():
        await send(storage, message, a_delivery(due=moment))
    assert await due(storage, at=8) == ["d", "b", "e", "a", "c"]
    assert await due(storage, at=8, limit=2) == ["d", "b"]
    assert await due(storage, at=3) == ["d", "b", "e"]


async def test_lanes_are_by_protocol_and_endpoint(storage: Storage) -> None:
    await send(storage, "a", a_delivery("x"))
    await send(storage, "b", a_delivery("y"))
    await send(storage, "c", a_delivery("x", protocol="https"))
    await send(storage, "d", a_delivery("x", account="111111111111", region="eu-west-1"))
    assert await due(storage, Lane("http", "x"), at=0) == ["a", "d"]
    assert await due(storage, Lane("http", "y"), at=0) == ["b"]
    assert await due(storage, Lane("https", "x"), at=0) == ["c"]
    assert await due(storage, Lane("https", "y"), at=0) == []


async def test_pending_lanes_are_those_with_something_to_attempt(storage: Storage) -> None:
    x, y = a_delivery("x", due=5), a_delivery("y", due=7)
    await send(storage, "a", x, y, a_delivery("x", due=3), a_delivery("x", due=9))
    await send(storage, "b", waiting(a_delivery("w")), finished(a_delivery("f"), at=0))
    lanes = {Lane("http", "x"): EPOCH_MS + 3, Lane("http", "y"): EPOCH_MS + 7}
    assert sorted(await storage.pending_lanes()) == sorted(lanes.items())
    [delivery] = await listed(storage, endpoint="y")
    await settle(storage, delivery, finished(y, at=7))
    assert await storage.pending_lanes() == [(Lane("http", "x"), EPOCH_MS + 3)]


async def test_a_lane_says_when_more_falls_due(storage: Storage) -> None:
    for message, moment in {"a": 5, "b": 3, "c": 9}.items():
        await send(storage, message, a_delivery(due=moment))
    await send(storage, "d", a_delivery("http://other", due=4))
    await send(storage, "e", waiting(a_delivery()), finished(a_delivery(), at=4))
    assert [await due_later(storage, at=at) for at in (0, 3, 4, 5, 9)] == [3, 5, 5, 9, None]
    assert await due_later(storage, Lane("http", "http://none"), at=0) is None


async def test_a_long_lane_stays_in_order_while_it_is_worked_on(storage: Storage) -> None:
    """Attempts end at the front, at the back and in between."""
    publishings = [a_publishing(str(n), a_delivery(due=n)) for n in range(300)]
    await publish(storage, None, *publishings)
    left = list(range(300))
    for deliveries, position in ((150, 0), (60, 5), (50, -1), (20, -3)):
        for _ in range(deliveries):
            number = left.pop(position)
            [delivery] = await listed(storage, message_id=f"id of {number}")
            assert await settle(storage, delivery, finished(delivery.details, at=300))
        assert await due(storage, at=300, limit=300) == [str(number) for number in left]
        assert await due_later(storage, at=0) == left[0]
    await send(storage, "first", a_delivery(due=0))
    assert await due(storage, at=300, limit=2) == ["first", str(left[0])]


# --- what became of them ----------------------------------------------------------------------


async def test_an_attempt_is_remembered(storage: Storage) -> None:
    [delivery] = await send(storage, "a")
    tried = delivery.details._replace(
        due_at_ms=EPOCH_MS + 20_000,
        attempts=1,
        last_attempt_at_ms=EPOCH_MS + 5,
        status_code=500,
        response="why",
        dwell_ms=7,
    )
    assert await settle(storage, delivery, tried, at=5)
    assert await listed(storage) == [delivery._replace(details=tried)]
    assert await due(storage, at=19_999) == []
    assert await due(storage, at=20_000) == ["a"]


@pytest.mark.parametrize(
    "status", [DeliveryStatus.DELIVERED, DeliveryStatus.DEAD_LETTERED, DeliveryStatus.FAILED]
)
async def test_a_finished_delivery_is_not_due(storage: Storage, status: DeliveryStatus) -> None:
    [delivery] = await send(storage, "a")
    done = finished(delivery.details, at=5, status=status)
    assert await settle(storage, delivery, done)
    assert await listed(storage) == [delivery._replace(details=done)]
    assert await due(storage, at=100) == []
    assert await due_later(storage, at=0) is None


async def test_a_finished_delivery_can_be_attempted_again(storage: Storage) -> None:
    [delivery] = await send(storage, "a", finished(a_delivery(), at=0))
    assert await settle(storage, delivery, a_delivery(due=5))
    assert await due(storage, at=5) == ["a"]


async def test_what_became_of_a_delivery_that_is_gone_is_not_stored(storage: Storage) -> None:
    [delivery] = await send(storage, "a")
    await storage.clear_deliveries(DeliveryFilter())
    assert not await settle(storage, delivery, a_delivery())
    assert await listed(storage) == []


async def test_a_dead_letter_arrives_with_the_end_of_its_delivery(
    storage: Storage, queue: AQueue, changes: list[tuple[int, int]]
) -> None:
    [delivery] = await send(storage, "a")
    done = finished(delivery.details, at=5, status=DeliveryStatus.DEAD_LETTERED)
    letter = (queue.queue_id, a_copy("a letter"))
    assert await settle(storage, delivery, done, dead_letter=letter, at=5)
    assert changes == [(queue.queue_id, 1)]
    assert await queue.received(at=5) == ["a letter"]
    assert await listed(storage) == [delivery._replace(details=done)]


async def test_a_dead_letter_is_deduplicated_like_every_message(
    storage: Storage, fifo_queue: AQueue
) -> None:
    letter = (fifo_queue.queue_id, a_copy("a letter"))
    for number, at in enumerate((0, WINDOW_MS - 1, WINDOW_MS)):
        [delivery] = await send(storage, str(number))
        assert await settle(
            storage, delivery, finished(a_delivery(), at=at), dead_letter=letter, at=at
        )
    assert (await fifo_queue.counts(at=WINDOW_MS)).visible == 2


async def test_a_missing_dead_letter_queue_keeps_the_delivery_as_it_is(
    storage: Storage, changes: list[tuple[int, int]]
) -> None:
    gone = await a_queue(storage, "gone")
    await gone.drop(at=0)
    changes.clear()
    [delivery] = await send(storage, "a")
    done = finished(delivery.details, at=5, status=DeliveryStatus.DEAD_LETTERED)
    with pytest.raises(UnknownQueue):
        await settle(storage, delivery, done, dead_letter=(gone.queue_id, a_copy("a letter")))
    assert changes == []
    assert await listed(storage) == [delivery]
    assert await due(storage, at=0) == ["a"]


async def test_a_delivery_that_is_gone_sends_no_dead_letter(
    storage: Storage, queue: AQueue
) -> None:
    [delivery] = await send(storage, "a")
    await storage.clear_deliveries(DeliveryFilter())
    done = finished(delivery.details, at=5, status=DeliveryStatus.DEAD_LETTERED)
    letter = a_copy("a letter")
    assert not await settle(storage, delivery, done, dead_letter=(queue.queue_id, letter))
    assert await queue.counts(at=0) == (0, 0, 0)
    await queue.drop(at=0)
    assert not await settle(storage, delivery, done, dead_letter=(queue.queue_id, letter))


# --- waiting ----------------------------------------------------------------------------------


async def test_what_waits_is_not_due_until_it_is_resumed(storage: Storage) -> None:
    details = waiting(a_delivery(protocol="email", endpoint="a@b"))
    [delivery] = await send(storage, "a", details._replace(attempts=2, response="why"))
    lane = Lane("email", "a@b")
    assert await due(storage, lane, at=100) == []
    assert await storage.resume_deliveries(["email"], now_ms=EPOCH_MS + 7) == 1
    resumed = delivery.details._replace(status=DeliveryStatus.PENDING, due_at_ms=EPOCH_MS + 7)
    assert await listed(storage) == [delivery._replace(details=resumed)]
    assert await due(storage, lane, at=6) == []
    assert await due(storage, lane, at=7) == ["a"]
    assert await storage.pending_lanes() == [(lane, EPOCH_MS + 7)]


async def test_only_what_waits_by_these_protocols_is_resumed(storage: Storage) -> None:
    for protocol in ("email", "email-json", "sms", "email"):
        await send(storage, protocol, waiting(a_delivery("x", protocol=protocol)))
    pending, done = a_delivery("x", protocol="email"), a_delivery("x", protocol="sms")
    await send(storage, "others", pending, finished(done, at=0))
    assert await storage.resume_deliveries(["email", "sms"], now_ms=EPOCH_MS) == 3
    assert await storage.resume_deliveries(["email", "sms", "http"], now_ms=EPOCH_MS) == 0
    assert messages_of(await listed(storage, statuses=(DeliveryStatus.WAITING,))) == ["email-json"]
    assert messages_of(await listed(storage, statuses=(DeliveryStatus.DELIVERED,))) == ["others"]
    assert await due(storage, Lane("email", "x"), at=0) == ["email", "email", "others"]


async def test_a_delivery_may_begin_to_wait(storage: Storage) -> None:
    [delivery] = await send(storage, "a")
    assert await settle(storage, delivery, waiting(delivery.details))
    assert await storage.pending_lanes() == []
    # And what waits may be finished, or forgotten.
    [other] = await send(storage, "b", waiting(a_delivery()))
    assert await settle(storage, other, finished(other.details, at=0))
    await send(storage, "c", waiting(a_delivery()))
    assert await storage.clear_deliveries(DeliveryFilter(message_id="id of c")) == 1
    assert await storage.resume_deliveries(["http"], now_ms=EPOCH_MS) == 1
    assert await due(storage, at=0) == ["a"]


# --- listing and clearing ---------------------------------------------------------------------


async def test_deliveries_are_listed_in_order_of_acceptance(storage: Storage) -> None:
    for message in ("a", "b", "c", "d"):
        await send(storage, message)
    [_, b, c, _] = await listed(storage)
    await settle(storage, b, finished(b.details, at=0))

    async def page(after_id: int, newest_first: bool) -> list[str]:
        found = await storage.list_deliveries(
            DeliveryFilter(), after_id=after_id, newest_first=newest_first, limit=2
        )
        return messages_of(found)

    assert await page(0, False) == ["a", "b"]
    assert await page(b.delivery_id, False) == ["c", "d"]
    assert await page(c.delivery_id, False) == ["d"]
    assert await page(0, True) == ["d", "c"]
    assert await page(c.delivery_id, True) == ["b", "a"]
    assert await page(b.delivery_id, True) == ["a"]


#: A delivery with another value for each thing one can look for, and how to find it.
FILTERS: dict[str, tuple[NewDelivery, dict[str, Any], DeliveryFilter]] = {
    "account": (a_delivery(account="1"), {}, DeliveryFilter(account="1")),
    "region": (a_delivery(region="eu"), {}, DeliveryFilter(region="eu")),
    "protocol": (a_delivery(protocol="sms"), {}, DeliveryFilter(protocols=("sms", "email"))),
    "status": (
        finished(a_delivery(), at=0, status=DeliveryStatus.FAILED),
        {},
        DeliveryFilter(statuses=(DeliveryStatus.FAILED, DeliveryStatus.DELIVERED)),
    ),
    "endpoint": (a_delivery("x"), {}, DeliveryFilter(endpoint="x")),
    "topic": (a_delivery(), {"topic_arn": "arn:x"}, DeliveryFilter(topic_arn="arn:x")),
    "subscription": (a_delivery(subscription_id="x"), {}, DeliveryFilter(subscription_id="x")),
    "message": (a_delivery(), {"message_id": "x"}, DeliveryFilter(message_id="x")),
}


@pytest.fixture
async def one_of_each(storage: Storage) -> None:
    """A delivery for each filter, and two that no filter means."""
    for name, (details, publication, _) in FILTERS.items():
        await publish(storage, None, a_publishing(name, details, **publication))
    direct = a_delivery("y", subscription_id=None)
    await publish(storage, None, a_publishing("plain", a_delivery("z")))
    await publish(storage, None, a_publishing("direct", direct, topic_arn=None))


@pytest.mark.usefixtures("one_of_each")
@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("newest_first", [False, True])
async def test_every_filter_finds_what_it_names(
    storage: Storage, name: str, newest_first: bool
) -> None:
    chosen = FILTERS[name][2]
    found = await storage.list_deliveries(chosen, newest_first=newest_first, limit=9)
    assert messages_of(found) == [name]


@pytest.mark.usefixtures("one_of_each")
async def test_filters_are_combined(storage: Storage) -> None:
    pending, failed = DeliveryStatus.PENDING, DeliveryStatus.FAILED
    assert len(await listed(storage, statuses=(pending, failed))) == len(FILTERS) + 2
    assert len(await listed(storage, statuses=(pending,), protocols=("http",))) == len(FILTERS)
    assert await listed(storage, account="1", region="eu") == []
    assert await listed(storage, protocols=()) == await listed(storage, statuses=()) == []


@pytest.mark.usefixtures("one_of_each")
@pytest.mark.parametrize("name", FILTERS)
async def test_clearing_forgets_what_the_filter_names(storage: Storage, name: str) -> None:
    chosen = FILTERS[name][2]
    assert await storage.clear_deliveries(chosen) == 1
    assert await storage.clear_deliveries(chosen) == 0
    others = [each for each in FILTERS if each != name]
    assert messages_of(await listed(storage)) == [*others, "plain", "direct"]


async def test_what_is_cleared_is_not_attempted(storage: Storage) -> None:
    await send(storage, "a", a_delivery(), waiting(a_delivery()), finished(a_delivery(), at=0))
    await send(storage, "b", a_delivery(due=5))
    assert await storage.clear_deliveries(DeliveryFilter(message_id="id of a")) == 3
    assert await due(storage, at=0) == []
    assert await storage.pending_lanes() == [(LANE, EPOCH_MS + 5)]
    assert await storage.resume_deliveries(["http"], now_ms=EPOCH_MS) == 0
    assert await storage.clear_deliveries(DeliveryFilter()) == 1
    assert await storage.pending_lanes() == []
    assert await listed(storage) == []


async def test_ids_are_not_given_out_again(storage: Storage) -> None:
    [before] = await send(storage, "a")
    await storage.clear_deliveries(DeliveryFilter())
    [after] = await send(storage, "b")
    assert after.delivery_id > before.delivery_id


async def test_deliveries_of_one_publication_are_forgotten_one_by_one(storage: Storage) -> None:
    await send(storage, "a", a_delivery("x"), a_delivery("y"))
    assert await storage.clear_deliveries(DeliveryFilter(endpoint="x")) == 1
    [left] = await listed(storage)
    assert (left.details.endpoint, left.publication.message) == ("y", "a")


# --- keeping and forgetting -------------------------------------------------------------------


async def test_the_latest_finished_deliveries_are_kept(storage: Storage) -> None:
    await send(storage, "unfinished", a_delivery(), waiting(a_delivery()))
    extra = 21
    for number in range(extra):
        await send(storage, f"old {number}", finished(a_delivery(), at=number))
    rest = [finished(a_delivery(), at=extra + number) for number in range(FINISHED_DELIVERIES_KEPT)]
    await send(storage, "latest", *rest)

    assert await storage.sweep(now_ms=EPOCH_MS + 20_000, limit=10) == EPOCH_MS + 20_000
    assert len(await listed(storage, limit=20_000)) > FINISHED_DELIVERIES_KEPT + 2
    assert await sweep_all(storage, at=20_000, limit=10) is None
    left = messages_of(await listed(storage, limit=20_000))
    assert left == ["unfinished"] * 2 + ["latest"] * FINISHED_DELIVERIES_KEPT
    assert await due(storage, at=0) == ["unfinished"]


async def test_few_finished_deliveries_are_all_kept(storage: Storage) -> None:
    await send(storage, "a", finished(a_delivery(), at=0), a_delivery())
    assert await sweep_all(storage, at=2**40) is None
    assert len(await listed(storage)) == 2


async def test_a_publication_is_forgotten_with_its_last_delivery(
    storage: Storage, reopen_storage: Callable[[], Awaitable[Storage]], tmp_path: Path
) -> None:
    """Else the file would grow with what nobody can see."""
    topic = await a_topic(storage)
    for number in range(40):
        publishing = a_publishing("x" * 50_000, message_id=str(number))
        both = publishing._replace(deliveries=[a_delivery("x"), a_delivery("y")])
        neither = publishing._replace(deduplication_key=str(number))
        assert await publish(storage, topic, both, neither) is not None
        for delivery in await listed(storage):
            await settle(storage, delivery, finished(delivery.details, at=0))
        await storage.clear_deliveries(DeliveryFilter(endpoint="x"))
        await storage.clear_deliveries(DeliveryFilter(endpoint="y"))
    again = await reopen_storage()
    while await again.sweep(now_ms=EPOCH_MS, limit=100) == EPOCH_MS:
        pass
    await again.close()
    assert bytes_in(tmp_path) < 1_000_000


async def test_an_archived_publication_outlives_its_deliveries(storage: Storage) -> None:
    topic = await a_topic(storage)
    sequence = await storage.next_sequence()
    publishing = a_publishing("a", a_delivery(), archived=True, sequence=sequence)
    await publish(storage, topic, publishing)
    assert await storage.clear_deliveries(DeliveryFilter()) == 1
    found = await storage.read_archive(
        topic.topic_id, after_sequence=0, from_ms=0, until_ms=None, limit=9
    )
    assert found == [publishing.publication]


async def test_a_delivery_outlives_the_archive(storage: Storage) -> None:
    topic = await a_topic(storage)
    sequence = await storage.next_sequence()
    publishing = a_publishing("a", a_delivery(), archived=True, sequence=sequence)
    await publish(storage, topic, publishing)
    await archive(storage, topic, "b")
    trimmed = await storage.trim_archive(topic.topic_id, before_ms=EPOCH_MS + 9, limit=9)
    assert trimmed == 2
    assert [each.publication for each in await listed(storage)] == [publishing.publication]


# --- after a restart --------------------------------------------------------------------------


async def test_deliveries_survive(
    storage: Storage, reopen_storage: Callable[[], Awaitable[Storage]]
) -> None:
    publishing = a_publishing(
        "häuser \N{ROCKET}\r\n",
        DETAILED,
        a_delivery(due=5),
        waiting(a_delivery("w", protocol="email")),
        subject="a subject",
        structured=True,
        attributes={
            "text": MessageAttribute("String.x", "\N{ROCKET}"),
            "bytes": MessageAttribute("Binary", b"\x00\xff"),
        },
        group_id="g",
        deduplication_id="d",
        sequence=await storage.next_sequence(),
        trace_header="Root=1",
    )
    await publish(storage, None, publishing)
    await send(storage, "settled")
    [settled] = await listed(storage, message_id="id of settled")
    retried = settled.details._replace(due_at_ms=EPOCH_MS + 3, attempts=1)
    await settle(storage, settled, retried)
    before = await listed(storage)
    assert [each.details for each in before] == [*publishing.deliveries, retried]
    assert before[0].publication == publishing.publication

    again = await reopen_storage()
    assert await listed(again) == before
    assert await again.pending_lanes() == [(LANE, EPOCH_MS + 3)]
    assert await due(again, at=5) == ["settled", "häuser \N{ROCKET}\r\n"]
    assert await due_later(again, at=3) == 5
    assert await again.resume_deliveries(["email"], now_ms=EPOCH_MS) == 1
    assert await settle(again, settled, finished(retried, at=6))
    assert await due(again, at=5) == ["häuser \N{ROCKET}\r\n"]


async def test_what_became_of_a_delivery_survives(
    storage: Storage, queue: AQueue, reopen: Callable[[AQueue], Awaitable[AQueue]]
) -> None:
    [delivery] = await send(storage, "a")
    done = finished(delivery.details, at=5, status=DeliveryStatus.DEAD_LETTERED)
    await settle(storage, delivery, done, dead_letter=(queue.queue_id, a_copy("a letter")))
    await send(storage, "b")
    await storage.clear_deliveries(DeliveryFilter(message_id="id of b"))
    again = await reopen(queue)
    assert await listed(again.storage) == [delivery._replace(details=done)]
    assert await again.storage.pending_lanes() == []
    assert await again.received(at=0) == ["a letter"]
