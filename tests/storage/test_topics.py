"""Topics: creating, finding, changing and deleting them."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from storage.contract import Storage
from storage.topic_records import TopicKey, TopicRecord
from tests.storage.builders import EPOCH_MS, WINDOW_MS, AQueue
from tests.storage.topic_builders import (
    ACCOUNT,
    EXPIRY_MS,
    REGION,
    a_delivery,
    a_publishing,
    a_topic,
    archive,
    drop_topic,
    due,
    ended,
    publish,
    subscribe,
    the_topic,
)

KEY = TopicKey(ACCOUNT, REGION, "a-topic")


async def test_a_new_topic_has_what_it_was_created_with(storage: Storage) -> None:
    attributes, tags = {"DisplayName": "\N{ROCKET}", "FifoTopic": "true"}, {"team": "a"}
    record, created = await storage.create_topic(KEY, attributes, tags, "{}", now_ms=EPOCH_MS)
    assert created
    assert (record.key, dict(record.attributes), dict(record.tags)) == (KEY, attributes, tags)
    assert (record.data_protection_policy, record.created_at_ms) == ("{}", EPOCH_MS)
    assert record.subscriptions_deleted == 0
    assert record.fifo
    assert await storage.get_topic(KEY) == record


async def test_creating_an_existing_topic_returns_it_unchanged(storage: Storage) -> None:
    first = await a_topic(storage, DisplayName="a")
    second, created = await storage.create_topic(KEY, {}, {"b": "2"}, "{}", now_ms=EPOCH_MS + 1)
    assert (second, created) == (first, False)
    assert await storage.get_topic(KEY) == first


async def test_accounts_and_regions_are_separate_worlds(storage: Storage) -> None:
    here = await a_topic(storage)
    elsewhere = await a_topic(storage, region="eu-west-1")
    another = await a_topic(storage, account="111111111111")
    assert len({here.topic_id, elsewhere.topic_id, another.topic_id}) == 3
    assert await storage.list_topics(ACCOUNT, REGION, limit=9) == [here]
    assert await storage.list_topics(ACCOUNT, "eu-west-1", limit=9) == [elsewhere]


async def test_an_unknown_topic_is_none(storage: Storage) -> None:
    assert await storage.get_topic(KEY) is None


async def test_topics_are_listed_by_name_within_a_page(storage: Storage) -> None:
    for name in ("b", "a", "d", "C", "c"):
        await a_topic(storage, name)

    async def names(**page: str) -> list[str]:
        found = await storage.list_topics(ACCOUNT, REGION, limit=2, **page)
        return [record.key.name for record in found]

    assert await names() == ["C", "a"]
    assert await names(after="a") == ["b", "c"]
    assert await names(after="bb") == ["c", "d"]
    assert await names(after="d") == []


async def test_replacing_stores_attributes_tags_and_policy(storage: Storage) -> None:
    old = await a_topic(storage, DisplayName="a")
    new = replace(old, attributes={"Policy": "{}"}, tags={"k": "v"}, data_protection_policy="{}")
    stored = await storage.replace_topic(old, new)
    assert stored is not None
    assert stored == replace(new, revision=stored.revision)
    assert await storage.get_topic(KEY) == stored


async def test_a_change_gives_a_higher_revision(storage: Storage) -> None:
    old = await a_topic(storage)
    new = await storage.replace_topic(old, old)
    assert new is not None
    assert new.revision > old.revision


async def test_what_has_changed_in_between_is_not_replaced(storage: Storage) -> None:
    old = await a_topic(storage)
    new = await storage.replace_topic(old, replace(old, tags={"a": "1"}))
    assert await storage.replace_topic(old, replace(old, tags={"b": "2"})) is None
    assert await storage.get_topic(KEY) == new


async def test_a_topic_whose_subscriptions_changed_is_not_replaced(storage: Storage) -> None:
    old = await a_topic(storage)
    await subscribe(storage, old)
    assert await storage.replace_topic(old, old) is None


async def test_a_deleted_topic_is_not_replaced(storage: Storage) -> None:
    topic = await a_topic(storage)
    await drop_topic(storage, topic, at=0)
    assert await storage.replace_topic(topic, topic) is None
    assert await storage.get_topic(KEY) is None


async def test_a_deleted_topic_is_gone(storage: Storage) -> None:
    topic = await a_topic(storage)
    other = await a_topic(storage, "other")
    await drop_topic(storage, topic, at=0)
    assert await storage.get_topic(KEY) is None
    assert await storage.list_topics(ACCOUNT, REGION, limit=9) == [other]


async def test_deleting_an_unknown_topic_does_nothing(storage: Storage) -> None:
    topic = await a_topic(storage)
    await storage.delete_topic(2**62, now_ms=EPOCH_MS, expires_at_ms=EPOCH_MS)
    assert await storage.get_topic(KEY) == topic


async def test_the_subscriptions_of_a_deleted_topic_end_and_stay_readable(
    storage: Storage,
) -> None:
    topic = await a_topic(storage)
    live = await subscribe(storage, topic, "s1")
    gone = await subscribe(storage, topic, "s2")
    assert await storage.replace_subscription(gone, ended(gone, at=1))
    elsewhere = await subscribe(storage, await a_topic(storage, "other"), "s3")
    await drop_topic(storage, topic, at=5)

    expires_at_ms = EPOCH_MS + 5 + EXPIRY_MS
    assert await storage.get_subscription("s1") == replace(
        live, ended_at_ms=EPOCH_MS + 5, expires_at_ms=expires_at_ms
    )
    assert await storage.get_subscription("s2") == ended(gone, at=1)
    assert await storage.topic_subscriptions(topic.topic_id) == []
    assert await storage.list_subscriptions(ACCOUNT, REGION, limit=9) == [elsewhere]


async def test_a_topic_created_again_is_another_one(storage: Storage) -> None:
    first = await a_topic(storage)
    ours = await subscribe(storage, first)
    assert await storage.replace_subscription(ours, ended(ours, at=0))
    await drop_topic(storage, first, at=1)
    second = await a_topic(storage)
    assert second.topic_id > first.topic_id
    assert second.revision > first.revision
    assert second.subscriptions_deleted == 0
    assert await storage.topic_subscriptions(second.topic_id) == []
    assert await storage.list_subscriptions(ACCOUNT, REGION, limit=9) == []


async def test_a_deleted_topic_takes_its_archive_along(storage: Storage) -> None:
    async def begins(topic: TopicRecord) -> int | None:
        return await storage.archive_begins_at_ms(topic.topic_id)

    first = await a_topic(storage)
    await archive(storage, first, "a")
    await drop_topic(storage, first, at=1)
    second = await a_topic(storage)
    assert (await begins(first), await begins(second)) == (None, None)
    await archive(storage, second, "b", at=2)
    assert (await begins(first), await begins(second)) == (None, EPOCH_MS + 2)


async def test_a_deleted_topic_takes_its_deduplication_history_along(
    storage: Storage, queue: AQueue
) -> None:
    first = await a_topic(storage)
    await publish(storage, first, a_publishing("a", to=[queue], key="k"))
    await drop_topic(storage, first, at=1)
    second = await a_topic(storage)
    answer = await publish(storage, second, a_publishing("b", to=[queue], key="k"), at=2)
    assert answer is not None
    assert [each.duplicate for each in answer] == [False]
    assert await queue.received(at=2) == ["a", "b"]


async def test_deliveries_of_a_deleted_topic_go_on(storage: Storage) -> None:
    topic = await a_topic(storage)
    sequence = await storage.next_sequence()
    await publish(storage, topic, a_publishing("a", a_delivery(), archived=True, sequence=sequence))
    await drop_topic(storage, topic, at=1)
    while await storage.sweep(now_ms=EPOCH_MS + 2, limit=10) == EPOCH_MS + 2:
        pass
    assert await due(storage, at=2) == ["a"]


async def test_topics_survive(
    storage: Storage, reopen_storage: Callable[[], Awaitable[Storage]]
) -> None:
    old = await a_topic(storage, FifoTopic="true")
    new = replace(old, tags={"k": "\N{ROCKET}"}, data_protection_policy="{}")
    changed = await storage.replace_topic(old, new)
    assert changed is not None
    subscription = await subscribe(storage, changed)
    assert await storage.replace_subscription(subscription, ended(subscription, at=0))
    other = await a_topic(storage, "other")
    await drop_topic(storage, await a_topic(storage, "gone"), at=0)
    topic = await the_topic(storage, changed)
    assert topic.subscriptions_deleted == 1

    again = await reopen_storage()
    assert await again.list_topics(ACCOUNT, REGION, limit=9) == [topic, other]
    latest = await again.replace_topic(topic, topic)
    assert latest is not None
    assert latest.revision > max(topic.revision, other.revision)
    assert (await a_topic(again, "new")).topic_id > other.topic_id


async def test_a_deleted_topic_stays_deleted(
    storage: Storage, reopen_storage: Callable[[], Awaitable[Storage]]
) -> None:
    topic = await a_topic(storage)
    await subscribe(storage, topic)
    await archive(storage, topic, "a")
    await drop_topic(storage, topic, at=WINDOW_MS)
    record = await storage.get_subscription("s1")
    assert record is not None

    again = await reopen_storage()
    assert await again.get_topic(KEY) is None
    assert await again.archive_begins_at_ms(topic.topic_id) is None
    assert await again.topic_subscriptions(topic.topic_id) == []
    assert await again.get_subscription("s1") == record
