"""Subscriptions: adding, finding, changing, ending them."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from storage.contract import Storage
from storage.errors import UnknownTopic
from storage.topic_records import Replay, ReplayStatus, SubscriptionState
from tests.storage.builders import EPOCH_MS
from tests.storage.test_sweep import sweep_all
from tests.storage.topic_builders import (
    ACCOUNT,
    EXPIRY_MS,
    REGION,
    a_publishing,
    a_subscription,
    a_topic,
    drop_topic,
    ended,
    publish,
    subscribe,
    the_topic,
)

#: Every field is another than in a new subscription.
DETAILED: dict[str, object] = {
    "owner": "111111111111",
    "principal": "arn:aws:iam::111111111111:user/a",
    "protocol": "sqs",
    "endpoint": "arn:aws:sqs:us-east-1:000000000000:a-queue",
    "state": SubscriptionState.PENDING,
    "created_at_ms": EPOCH_MS + 1,
    "attributes": {"RawMessageDelivery": "true", "FilterPolicy": '{"a": ["\N{ROCKET}"]}'},
    "confirmation_was_authenticated": True,
    "authenticate_on_unsubscribe": True,
    "token_issued_at_ms": EPOCH_MS + 2,
    "queue_id": 7,
    "replay": Replay(ReplayStatus.IN_PROGRESS, EPOCH_MS, EPOCH_MS + 9, after_sequence=3),
    "expires_at_ms": EPOCH_MS + 10,
}


async def test_a_subscription_is_kept_as_it_is(storage: Storage) -> None:
    topic = await a_topic(storage)
    new = a_subscription(topic, "s1", **DETAILED)
    assert await storage.add_subscription(new) == (new, True)
    assert await storage.get_subscription("s1") == new


async def test_an_unknown_subscription_is_none(storage: Storage) -> None:
    assert await storage.get_subscription("s1") is None


async def test_one_live_subscription_has_an_endpoint(storage: Storage) -> None:
    topic = await a_topic(storage)
    first = await subscribe(storage, topic, "s1", endpoint="http://a")
    before = await the_topic(storage, topic)
    second = a_subscription(
        topic, "s2", endpoint="http://a", owner="111111111111", attributes={"a": "b"}
    )
    assert await storage.add_subscription(second) == (first, False)
    assert await storage.get_subscription("s2") is None
    assert await storage.topic_subscriptions(topic.topic_id) == [first]
    assert await the_topic(storage, topic) == before


async def test_other_protocols_endpoints_and_topics_are_other_subscriptions(
    storage: Storage,
) -> None:
    topic = await a_topic(storage)
    await subscribe(storage, topic, "s1", endpoint="a")
    await subscribe(storage, topic, "s2", endpoint="b")
    await subscribe(storage, topic, "s3", endpoint="a", protocol="https")
    await subscribe(storage, await a_topic(storage, "other"), "s4", endpoint="a")
    found = await storage.topic_subscriptions(topic.topic_id)
    assert [each.subscription_id for each in found] == ["s1", "s2", "s3"]


async def test_an_endpoint_can_be_subscribed_again_after_it_has_ended(storage: Storage) -> None:
    topic = await a_topic(storage)
    first = await subscribe(storage, topic, "s1", endpoint="a")
    assert await storage.replace_subscription(first, ended(first, at=0))
    second = await subscribe(storage, topic, "s2", endpoint="a")
    assert await storage.topic_subscriptions(topic.topic_id) == [second]
    assert await storage.get_subscription("s1") == ended(first, at=0)


async def test_nothing_subscribes_to_a_topic_that_is_gone(storage: Storage) -> None:
    topic = await a_topic(storage)
    await drop_topic(storage, topic, at=0)
    await a_topic(storage)
    with pytest.raises(UnknownTopic):
        await storage.add_subscription(a_subscription(topic))
    assert await storage.get_subscription("s1") is None


async def test_every_change_of_a_subscription_gives_its_topic_a_higher_revision(
    storage: Storage,
) -> None:
    topic = await a_topic(storage)
    other = await a_topic(storage, "other")
    revisions = [topic.revision]
    record = await subscribe(storage, topic)
    revisions.append((await the_topic(storage, topic)).revision)
    for new in (replace(record, attributes={"a": "b"}), ended(record, at=0), record):
        assert await storage.replace_subscription(record, new)
        record = new
        revisions.append((await the_topic(storage, topic)).revision)
    assert revisions == sorted(set(revisions))
    assert await the_topic(storage, other) == other


async def test_the_subscriptions_of_a_topic_are_listed_by_id(storage: Storage) -> None:
    topic = await a_topic(storage)
    for subscription_id in ("b", "a", "d", "c"):
        await subscribe(storage, topic, subscription_id)
    found = await storage.topic_subscriptions(topic.topic_id)
    assert [each.subscription_id for each in found] == ["a", "b", "c", "d"]
    assert await storage.topic_subscriptions(2**62) == []


async def test_subscriptions_of_an_owner_are_listed_by_id_within_a_page(storage: Storage) -> None:
    topic, other = await a_topic(storage), await a_topic(storage, "other")
    for subscription_id in ("b", "d", "a"):
        await subscribe(storage, topic, subscription_id)
    await subscribe(storage, other, "c")

    async def ids(after: str = "") -> list[str]:
        page = await storage.list_subscriptions(ACCOUNT, REGION, after=after, limit=2)
        return [each.subscription_id for each in page]

    assert await ids() == ["a", "b"]
    assert await ids("b") == ["c", "d"]
    assert await ids("bb") == ["c", "d"]
    assert await ids("d") == []


async def test_subscriptions_are_listed_for_their_owner_and_the_region_of_the_topic(
    storage: Storage,
) -> None:
    topic = await a_topic(storage)
    ours = await subscribe(storage, topic, "s1")
    theirs = await subscribe(storage, topic, "s2", owner="111111111111")
    there = await subscribe(storage, await a_topic(storage, region="eu-west-1"), "s3")
    assert await storage.list_subscriptions(ACCOUNT, REGION, limit=9) == [ours]
    assert await storage.list_subscriptions("111111111111", REGION, limit=9) == [theirs]
    assert await storage.list_subscriptions(ACCOUNT, "eu-west-1", limit=9) == [there]


async def test_pending_subscriptions_are_live(storage: Storage) -> None:
    topic = await a_topic(storage)
    pending = await subscribe(storage, topic, state=SubscriptionState.PENDING)
    assert await storage.topic_subscriptions(topic.topic_id) == [pending]
    assert await storage.list_subscriptions(ACCOUNT, REGION, limit=9) == [pending]


async def test_a_replaced_subscription_is_as_the_new_one(storage: Storage) -> None:
    topic = await a_topic(storage)
    old = await subscribe(storage, topic)
    fields = {key: value for key, value in DETAILED.items() if key not in ("protocol", "endpoint")}
    new = replace(old, **fields)  # type: ignore[arg-type]
    assert await storage.replace_subscription(old, new)
    assert await storage.get_subscription("s1") == new
    assert await storage.topic_subscriptions(topic.topic_id) == [new]


async def test_what_has_changed_in_between_is_not_replaced(storage: Storage) -> None:
    topic = await a_topic(storage)
    old = await subscribe(storage, topic)
    new = replace(old, attributes={"a": "1"})
    assert await storage.replace_subscription(old, new)
    before = await the_topic(storage, topic)
    assert not await storage.replace_subscription(old, replace(old, attributes={"b": "2"}))
    assert await storage.get_subscription("s1") == new
    assert await the_topic(storage, topic) == before


async def test_an_unknown_subscription_is_not_replaced(storage: Storage) -> None:
    topic = await a_topic(storage)
    unknown = a_subscription(topic)
    assert not await storage.replace_subscription(unknown, unknown)
    assert await storage.get_subscription("s1") is None


async def test_an_ended_subscription_is_readable_but_not_listed(storage: Storage) -> None:
    topic = await a_topic(storage)
    old = await subscribe(storage, topic)
    new = ended(old, at=5)
    assert await storage.replace_subscription(old, new)
    assert await storage.get_subscription("s1") == new
    assert await storage.topic_subscriptions(topic.topic_id) == []
    assert await storage.list_subscriptions(ACCOUNT, REGION, limit=9) == []


async def test_a_topic_counts_its_deleted_subscriptions(storage: Storage) -> None:
    topic = await a_topic(storage)

    async def deleted() -> int:
        return (await the_topic(storage, topic)).subscriptions_deleted

    first, second = await subscribe(storage, topic, "s1"), await subscribe(storage, topic, "s2")
    assert await storage.replace_subscription(first, ended(first, at=0))
    assert await deleted() == 1
    # Changed again, it is deleted once; live again and deleted again, it is deleted twice.
    assert await storage.replace_subscription(ended(first, at=0), ended(first, at=1))
    assert await deleted() == 1
    assert await storage.replace_subscription(ended(first, at=1), first)
    assert await deleted() == 1
    assert await storage.replace_subscription(first, ended(first, at=2))
    assert await deleted() == 2
    assert await storage.replace_subscription(second, replace(second, attributes={"a": "b"}))
    assert await deleted() == 2


async def test_an_ended_subscription_can_be_live_again(storage: Storage) -> None:
    topic = await a_topic(storage)
    live = await subscribe(storage, topic, "s2")
    await subscribe(storage, topic, "s1")
    assert await storage.replace_subscription(live, ended(live, at=0))
    assert await storage.replace_subscription(ended(live, at=0), live)
    found = await storage.topic_subscriptions(topic.topic_id)
    assert [each.subscription_id for each in found] == ["s1", "s2"]
    assert await storage.list_subscriptions(ACCOUNT, REGION, limit=9) == found
    again = a_subscription(topic, "s3", endpoint=live.endpoint)
    assert await storage.add_subscription(again) == (live, False)


async def test_an_ended_subscription_stays_so_if_another_has_its_endpoint(storage: Storage) -> None:
    topic = await a_topic(storage)
    first = await subscribe(storage, topic, "s1", endpoint="a")
    assert await storage.replace_subscription(first, ended(first, at=0))
    second = await subscribe(storage, topic, "s2", endpoint="a")
    assert not await storage.replace_subscription(ended(first, at=0), first)
    assert await storage.get_subscription("s1") == ended(first, at=0)
    assert await storage.topic_subscriptions(topic.topic_id) == [second]
    # Ended as it is, it may change.
    assert await storage.replace_subscription(ended(first, at=0), ended(first, at=9))


async def test_an_ended_subscription_stays_so_if_its_topic_is_gone(storage: Storage) -> None:
    topic = await a_topic(storage)
    live = await subscribe(storage, topic)
    await drop_topic(storage, topic, at=0)
    await a_topic(storage)
    old = await storage.get_subscription("s1")
    assert old is not None
    assert not await storage.replace_subscription(old, live)
    assert await storage.get_subscription("s1") == old
    assert await storage.replace_subscription(old, ended(live, at=1))
    assert await storage.get_subscription("s1") == ended(live, at=1)


async def test_a_subscription_is_removed_when_it_expires(storage: Storage) -> None:
    topic = await a_topic(storage)
    old = await subscribe(storage, topic)
    assert await storage.replace_subscription(old, ended(old, at=5))
    assert await sweep_all(storage, at=6) == EPOCH_MS + 5 + EXPIRY_MS
    assert await storage.get_subscription("s1") is not None
    assert await sweep_all(storage, at=5 + EXPIRY_MS) is None
    assert await storage.get_subscription("s1") is None


async def test_a_pending_subscription_that_expires_is_no_longer_listed(storage: Storage) -> None:
    topic = await a_topic(storage)
    pending = {"state": SubscriptionState.PENDING, "expires_at_ms": EPOCH_MS + 10}
    await subscribe(storage, topic, "s1", endpoint="a", **pending)
    other = await subscribe(storage, topic, "s2")
    before = await the_topic(storage, topic)
    await sweep_all(storage, at=10)
    assert await storage.topic_subscriptions(topic.topic_id) == [other]
    assert await storage.list_subscriptions(ACCOUNT, REGION, limit=9) == [other]
    after = await the_topic(storage, topic)
    assert after.revision > before.revision
    assert after.subscriptions_deleted == 0
    await subscribe(storage, topic, "s3", endpoint="a")


async def test_a_confirmed_subscription_does_not_expire_any_more(storage: Storage) -> None:
    topic = await a_topic(storage)
    pending = await subscribe(
        storage, topic, state=SubscriptionState.PENDING, expires_at_ms=EPOCH_MS + 10
    )
    confirmed = replace(pending, state=SubscriptionState.CONFIRMED, expires_at_ms=None)
    assert await storage.replace_subscription(pending, confirmed)
    assert await sweep_all(storage, at=EXPIRY_MS) is None
    assert await storage.topic_subscriptions(topic.topic_id) == [confirmed]


async def test_a_sweep_removes_expired_subscriptions_in_steps(storage: Storage) -> None:
    topic = await a_topic(storage)
    for number in range(25):
        await subscribe(storage, topic, f"s{number:02}", expires_at_ms=EPOCH_MS + 10 + number % 2)
    assert await storage.sweep(now_ms=EPOCH_MS + 11, limit=10) == EPOCH_MS + 11
    assert await sweep_all(storage, at=11, limit=10) is None
    assert await storage.topic_subscriptions(topic.topic_id) == []


async def test_subscriptions_survive(
    storage: Storage, reopen_storage: Callable[[], Awaitable[Storage]]
) -> None:
    topic = await a_topic(storage)
    live = await subscribe(storage, topic, "s2", **DETAILED)
    plain = await subscribe(storage, topic, "s1")
    old = await subscribe(storage, topic, "s3")
    gone = ended(old, at=5)
    assert await storage.replace_subscription(old, gone)
    topic = await the_topic(storage, topic)

    again = await reopen_storage()
    assert await again.topic_subscriptions(topic.topic_id) == [plain, live]
    assert await again.list_subscriptions("111111111111", REGION, limit=9) == [live]
    assert await again.get_subscription("s3") == gone
    assert await again.add_subscription(replace(live, subscription_id="s4")) == (live, False)
    assert await publish(again, topic, a_publishing("a")) is not None
    assert await again.replace_subscription(gone, old)
    assert await publish(again, topic, a_publishing("b")) is None
    assert await sweep_all(again, at=10) is None
    assert await again.topic_subscriptions(topic.topic_id) == [plain, old]
