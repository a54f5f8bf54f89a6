"""Everything there is, wherever."""

from storage.contract import Storage
from tests.storage.topic_builders import a_topic, drop_topic


async def test_all_topics_are_those_of_every_account_and_region(storage: Storage) -> None:
    assert await storage.all_topics() == []
    topics = [
        await a_topic(storage, account=account, region=region)
        for account in ("111111111111", "222222222222")
        for region in ("us-east-1", "eu-west-1")
    ]
    found = await storage.all_topics()
    assert sorted(found, key=lambda topic: topic.topic_id) == topics
    await drop_topic(storage, topics[0], at=0)
    assert topics[0] not in await storage.all_topics()
    assert len(await storage.all_topics()) == 3
