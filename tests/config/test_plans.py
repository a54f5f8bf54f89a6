"""What is declared comes about, no more than that, and as a whole or not at all."""

import json
from pathlib import Path

import pytest

from api.config import ConfigError, Mode, apply, load, plan
from api.config.resources import NoDeliveries
from broker import (
    Broker,
    DeliveryFilter,
    QueueKey,
    RandomIds,
    TopicDraft,
    open_storage,
)
from tests.config.conftest import ACCOUNT, REGION, ROOT, World, Write, queue_arn, topic_arn
from tests.support.clock import FakeClock

_POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "SQS:SendMessage",
            "Resource": queue_arn("q"),
        }
    ],
}
HERE = f"{ACCOUNT}/{REGION}"
EVERYTHING = """
    queues:
      orders:
        visibilityTimeout: 1m
        deadLetterQueue: {name: orders-dlq, maxReceiveCount: 3}
        tags: {team: shop, cost: 5}
      orders-dlq:
        redriveAllowPolicy:
          redrivePermission: byQueue
          sourceQueueArns: ["arn:aws:sqs:us-east-1:000000000000:orders"]
      payments.fifo: {contentBasedDeduplication: true, deduplicationScope: messageGroup}
    topics:
      events:
        displayName: Events
        tags: {team: shop}
        subscriptions:
          - {queue: orders, filterPolicy: {kind: [order]}, raw: true, deadLetterQueue: orders-dlq}
          - {protocol: sms, endpoint: "+15550100001"}
          - {protocol: https, endpoint: "https://user:secret@example.test/hook"}
      payments.fifo:
        archivePolicy: {MessageRetentionPeriod: 30}
        subscriptions:
          - {queue: payments.fifo}
    accounts:
      111111111111:
        regions:
          eu-west-1:
            queues: {far: }
"""


NOT_FIFO = """
    queues: {a: {fifoQueue: false, contentBasedDeduplication: false}}
    topics: {a: {fifoTopic: false, contentBasedDeduplication: "false"}}
"""


# --- creating -----------------------------------------------------------------------------------


async def test_everything_declared_is_made(world: World) -> None:
    await world.declare(EVERYTHING)
    assert await world.queues() == ["orders", "orders-dlq", "payments.fifo"]
    assert await world.queues("111111111111", "eu-west-1") == ["far"]
    orders = await world.queue("orders")
    assert orders["VisibilityTimeout"] == "60"
    assert json.loads(orders["RedrivePolicy"]) == {
        "deadLetterTargetArn": queue_arn("orders-dlq"),
        "maxReceiveCount": 3,
    }
    assert await world.tags("orders") == {"team": "shop", "cost": "5"}
    payments = await world.queue("payments.fifo")
    assert payments["FifoQueue"] == payments["ContentBasedDeduplication"] == "true"
    assert (await world.topic("events"))["DisplayName"] == "Events"
    assert (await world.topic("payments.fifo"))["FifoTopic"] == "true"
    subscriptions = await world.subscriptions("events")
    assert set(subscriptions) == {
        "orders",
        "+15550100001",
        "https://user:secret@example.test/hook",
    }
    assert subscriptions["orders"]["FilterPolicy"] == {"kind": ["order"]}
    assert subscriptions["orders"]["RawMessageDelivery"] == "true"
    assert json.loads(subscriptions["orders"]["RedrivePolicy"]) == {
        "deadLetterTargetArn": queue_arn("orders-dlq")
    }
    assert set(await world.subscriptions("payments.fifo")) == {"payments.fifo"}


@pytest.mark.parametrize("mode", ["create", "update", "exact"])
async def test_not_fifo_is_what_a_standard_queue_and_topic_are(world: World, mode: Mode) -> None:
    assert len(await world.declare(NOT_FIFO, mode)) == 2
    assert (await world.queues(), await world.topics()) == (["a"], ["a"])
    assert await world.declare(NOT_FIFO, mode) == []


async def test_a_fifo_queue_and_topic_keep_that_their_content_does_not_count(world: World) -> None:
    away = "{a.fifo: {contentBasedDeduplication: false}}"
    await world.declare(f"queues: {away}\ntopics: {away}")
    assert (await world.queue("a.fifo"))["ContentBasedDeduplication"] == "false"
    [line] = await world.declare("queues: {a.fifo: {contentBasedDeduplication: true}}", "update")
    assert "false -> true" in line
    [line] = await world.declare(f"queues: {away}", "update")
    assert "true -> false" in line


async def test_a_plan_has_a_line_for_each_change_and_shows_no_password(world: World) -> None:
    assert (await world.plan(EVERYTHING)).lines() == [
        f"create queue orders in {HERE}",
        f"create queue orders-dlq in {HERE}",
        f"create queue payments.fifo in {HERE}",
        "create queue far in 111111111111/eu-west-1",
        f"create topic events in {HERE}",
        f"create topic payments.fifo in {HERE}",
        f"create subscription of sqs orders to topic events in {HERE}",
        f"create subscription of sms +15550100001 to topic events in {HERE}",
        f"create subscription of https https://example.test/hook to topic events in {HERE}",
        f"create subscription of sqs payments.fifo to topic payments.fifo in {HERE}",
    ]


@pytest.mark.parametrize("mode", ["create", "update", "exact"])
async def test_planning_changes_nothing(world: World, mode: Mode) -> None:
    await world.declare("queues: {old: {visibilityTimeout: 5}}")
    await world.plan("queues: {old: {visibilityTimeout: 6}, new: }", mode)
    assert await world.queues() == ["old"]
    assert (await world.queue("old"))["VisibilityTimeout"] == "5"


@pytest.mark.parametrize("mode", ["create", "update", "exact"])
async def test_declaring_the_same_again_changes_nothing(world: World, mode: Mode) -> None:
    await world.declare(EVERYTHING)
    assert await world.declare(EVERYTHING, mode) == []


async def test_dead_letter_queues_may_name_each_other(world: World) -> None:
    await world.declare(
        """
        queues:
          a: {deadLetterQueue: {name: b, maxReceiveCount: 1}}
          b: {deadLetterQueue: {name: a, maxReceiveCount: 1}}
        """
    )
    for name, other in (("a", "b"), ("b", "a")):
        policy = json.loads((await world.queue(name))["RedrivePolicy"])
        assert policy["deadLetterTargetArn"] == queue_arn(other)


async def test_a_dead_letter_queue_may_be_one_that_is_there(world: World) -> None:
    await world.declare("queues: {dlq: }")
    declaration = f"""
        queues:
          a: {{redrivePolicy: {{deadLetterTargetArn: "{queue_arn("dlq")}", maxReceiveCount: 1}}}}
        """
    assert await world.declare(declaration) == [f"create queue a in {HERE}"]
    assert queue_arn("dlq") in (await world.queue("a"))["RedrivePolicy"]


async def test_a_topic_of_another_account_reaches_its_own_queue(world: World) -> None:
    """Defaults apply per block: a region of an account is a world of its own."""
    await world.declare(
        "accounts: {111111111111: {region: eu-west-1, queues: {a: }, topics:"
        " {t: {subscriptions: [{queue: a}]}}}}"
    )
    caller = ROOT._replace(account="111111111111", region="eu-west-1")
    listed, _ = await world.broker.subscriptions.page(caller, None)
    assert [each.endpoint for each in listed] == ["arn:aws:sqs:eu-west-1:111111111111:a"]


# --- what is there ------------------------------------------------------------------------------

_BEFORE = """
    queues:
      q: {visibilityTimeout: 5, delaySeconds: 7, tags: {a: 1, b: 1}}
      old:
    topics:
      t:
        displayName: T
        signatureVersion: 2
        tags: {a: 1}
        subscriptions: [{queue: q, filterPolicy: {a: [x]}}, {queue: old}]
      old:
"""
_AFTER = """
    queues:
      q: {visibilityTimeout: 6, tags: {a: 2}}
      new:
    topics:
      t:
        kmsMasterKeyId: key
        tags: {b: 2}
        subscriptions:
          - {queue: q, raw: true, filterPolicyScope: MessageBody, filterPolicy: {a: {b: [x]}}}
          - {queue: new}
"""
_CREATED = [
    f"create queue new in {HERE}",
    f"create subscription of sqs new to topic t in {HERE}",
]


async def test_create_makes_what_is_missing_and_tells_what_is_otherwise(world: World) -> None:
    await world.declare(_BEFORE)
    assert await world.declare(_AFTER, "create") == [
        *_CREATED,
        f"keep queue q in {HERE} as it is, not as declared: VisibilityTimeout 5 -> 6, tag a 1 -> 2",
        f"keep topic t in {HERE} as it is, not as declared: KmsMasterKeyId none -> key,"
        " tag b none -> 2",
        f"keep subscription of sqs q to topic t in {HERE} as it is, not as declared:"
        ' FilterPolicy {"a": ["x"]} -> {"a": {"b": ["x"]}},'
        " FilterPolicyScope MessageAttributes -> MessageBody, RawMessageDelivery false -> true",
    ]
    assert (await world.queue("q"))["VisibilityTimeout"] == "5"
    assert await world.queues() == ["new", "old", "q"]
    assert set(await world.subscriptions("t")) == {"new", "old", "q"}


async def test_update_changes_what_is_declared_and_nothing_else(world: World) -> None:
    await world.declare(_BEFORE)
    lines = await world.declare(_AFTER, "update")
    assert sorted(line.split(":")[0] for line in lines) == sorted(
        [
            *_CREATED,
            f"change queue q in {HERE}",
            f"change topic t in {HERE}",
            f"change subscription of sqs q to topic t in {HERE}",
        ]
    )
    queue = await world.queue("q")
    assert (queue["VisibilityTimeout"], queue["DelaySeconds"]) == ("6", "7")
    assert await world.tags("q") == {"a": "2", "b": "1"}
    topic = await world.topic("t")
    assert (topic["DisplayName"], topic["KmsMasterKeyId"]) == ("T", "key")
    assert await world.broker.topics.tags(ROOT, topic_arn("t")) == {"a": "1", "b": "2"}
    subscriptions = await world.subscriptions("t")
    assert set(subscriptions) == {"q", "new", "old"}
    assert subscriptions["q"]["FilterPolicy"] == {"a": {"b": ["x"]}}
    assert subscriptions["q"]["FilterPolicyScope"] == "MessageBody"
    assert await world.queues() == ["new", "old", "q"]
    assert await world.topics() == ["old", "t"]
    assert await world.declare(_AFTER, "update") == []


async def test_exact_leaves_nothing_that_is_not_declared(world: World) -> None:
    await world.declare(_BEFORE)
    lines = await world.declare(_AFTER, "exact")
    for line in (
        f"delete queue old in {HERE}",
        f"delete topic old in {HERE}",
        f"delete subscription of sqs old to topic t in {HERE}",
    ):
        assert line in lines
    queue = await world.queue("q")
    assert (queue["VisibilityTimeout"], queue["DelaySeconds"]) == ("6", "0")
    assert await world.tags("q") == {"a": "2"}
    topic = await world.topic("t")
    assert (topic["DisplayName"], topic["KmsMasterKeyId"]) == ("", "key")
    assert topic["SignatureVersion"] == "1"
    assert await world.broker.topics.tags(ROOT, topic_arn("t")) == {"b": "2"}
    assert await world.queues() == ["new", "q"]
    assert await world.topics() == ["t"]
    assert set(await world.subscriptions("t")) == {"new", "q"}
    assert await world.declare(_AFTER, "exact") == []


async def test_exact_undoes_every_attribute_that_can_be_set(world: World) -> None:
    bare = """
        queues: {q: , dlq: , f.fifo: }
        topics:
          t: {subscriptions: [{queue: q}, {protocol: sms, endpoint: "+15550100001"}]}
          f.fifo: {subscriptions: [{queue: f.fifo}]}
        """
    policy = json.dumps(_POLICY)
    full = f"""
        queues:
          q:
            visibilityTimeout: 1
            maximumMessageSize: 2048
            messageRetentionPeriod: 1h
            delaySeconds: 3
            receiveMessageWaitTimeSeconds: 4
            policy: {policy}
            deadLetterQueue: {{name: dlq, maxReceiveCount: 1}}
            kmsMasterKeyId: key
            kmsDataKeyReusePeriodSeconds: 600
          dlq: {{redriveAllowPolicy: {{redrivePermission: allowAll}}, sqsManagedSseEnabled: false}}
          f.fifo:
            contentBasedDeduplication: true
            deduplicationScope: messageGroup
            fifoThroughputLimit: perMessageGroupId
        topics:
          t:
            displayName: x
            deliveryPolicy: {{http: {{defaultHealthyRetryPolicy: {{numRetries: 5}}}}}}
            signatureVersion: 2
            tracingConfig: Active
            kmsMasterKeyId: key
            maximumMessageSize: 2048
            httpSuccessFeedbackRoleArn: arn
            httpSuccessFeedbackSampleRate: 10
            subscriptions:
              - queue: q
                raw: true
                filterPolicyScope: MessageBody
                filterPolicy: {{a: {{b: [x]}}}}
                deadLetterQueue: dlq
              - {{protocol: sms, endpoint: "+15550100001"}}
          f.fifo:
            contentBasedDeduplication: true
            fifoThroughputScope: MessageGroup
            archivePolicy: {{MessageRetentionPeriod: 3}}
            subscriptions:
              - queue: f.fifo
                replayPolicy: {{PointType: Timestamp, StartingPoint: "2026-01-01T00:00:00.000Z"}}
        """
    await world.declare(bare)
    before = await world.queue("q"), await world.topic("t"), await world.subscriptions("t")
    assert len(await world.declare(full, "update")) == 7
    assert await world.declare(full, "exact") == []
    assert len(await world.declare(bare, "exact")) == 7
    assert await world.declare(bare, "exact") == []
    queue, topic, subscriptions = before
    assert await world.queue("q") == queue
    assert await world.topic("t") == {
        **topic,
        "SignatureVersion": "1",
        "TracingConfig": "PassThrough",
    }
    assert await world.subscriptions("t") == subscriptions


async def test_only_accounts_and_regions_that_are_declared_are_made_exact(world: World) -> None:
    await world.declare("regions: {eu-west-1: {queues: {a: }}, eu-west-2: {queues: {b: }}}")
    assert await world.declare("regions: {eu-west-2: {queues: {}}}", "exact") == [
        f"delete queue b in {ACCOUNT}/eu-west-2"
    ]
    assert await world.queues(ACCOUNT, "eu-west-1") == ["a"]


async def test_json_that_is_only_written_otherwise_is_no_difference(world: World) -> None:
    policy = json.dumps(_POLICY)
    await world.declare(f"queues: {{a: {{policy: '{policy}'}}}}")
    other = json.dumps(dict(reversed(_POLICY.items())), indent=None, separators=(",", ":"))
    assert await world.declare(f"queues: {{a: {{policy: '{other}'}}}}", "update") == []


async def test_a_queue_that_is_made_anew_gets_what_its_subscription_says(world: World) -> None:
    declaration = "queues: {a: }\ntopics: {t: {subscriptions: [{queue: a, raw: true}]}}"
    await world.declare(declaration)
    key = QueueKey(ACCOUNT, REGION, "a")
    await world.broker.queues.delete(key)
    assert await world.declare(declaration) == [
        f"create queue a in {HERE}",
        f"bind subscription of sqs a to topic t in {HERE}: the queue is new",
    ]
    await world.broker.publishing.publish(
        ROOT, TopicDraft("x"), topic_arn=topic_arn("t"), target_arn=None, phone_number=None,
        base_url="",
    )  # fmt: skip
    assert (await world.queue("a"))["ApproximateNumberOfMessages"] == "1"


async def test_more_than_a_page_is_read(world: World) -> None:
    names = ", ".join(f"t{n:03}: " for n in range(150))
    endpoints = ", ".join(f'{{protocol: sms, endpoint: "+15550{n:06}"}}' for n in range(1, 151))
    declaration = f"topics: {{{names}, s: {{subscriptions: [{endpoints}]}}}}"
    assert len(await world.declare(declaration)) == 301
    assert await world.declare(declaration, "exact") == []
    assert len(await world.declare("topics: {}", "exact")) == 151


# --- all or nothing -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "there", "declared", "refused"),
    [
        (
            "update",
            "queues: {a.fifo: {deduplicationScope: messageGroup,"
            " fifoThroughputLimit: perMessageGroupId}}",
            "queues: {new: , a.fifo: {deduplicationScope: queue}}",
            "headrace.yaml:1: queues.a.fifo.deduplicationScope: queue: The perM",
        ),
        (
            "exact",
            "topics: {new.fifo: {archivePolicy: {MessageRetentionPeriod: 1}}}",
            "queues: {new: }",
            f"headrace.yaml: topic new.fifo in {HERE}: Invalid state: Cannot delete a topic",
        ),
        (
            "update",
            "queues: {q: }\ntopics: {t: {subscriptions: [{queue: q, filterPolicyScope:"
            " MessageBody, filterPolicy: {a: {b: [x]}}}]}}",
            "queues: {new: , q: }\ntopics:\n  t: {maximumMessageSize: 1000000,"
            " subscriptions: [{protocol: sms, endpoint: '+15550100001'}]}",
            "headrace.yaml:3: topics.t.subscriptions[0]: Invalid parameter",
        ),
    ],
)
async def test_what_only_what_is_there_forbids_is_found_before_anything_is_changed(
    world: World, mode: Mode, there: str, declared: str, refused: str
) -> None:
    await world.declare(there)
    before = await world.queues()
    with pytest.raises(ConfigError) as caught:
        await world.declare(declared, mode)
    [line] = caught.value.lines
    assert refused in line
    assert await world.queues() == before


async def test_what_is_refused_after_all_is_told_where_it_stands(world: World) -> None:
    made = await world.plan("queues:\n  a: {delaySeconds: 5}")
    await world.declare("queues: {a: {delaySeconds: 6}}")  # by somebody else, meanwhile
    with pytest.raises(ConfigError, match=r"headrace.yaml:2: queues.a.delaySeconds: 5: A queue"):
        await apply(world.broker, made)


async def test_subscriptions_that_others_made_can_be_removed(world: World) -> None:
    """Even of endpoints that a copy cannot be made of."""
    await world.declare("topics: {t: }")
    platforms = world.broker.platforms
    application = await platforms.create_application(
        ROOT, "app", "GCM", {"PlatformCredential": "x"}
    )
    endpoint = await platforms.create_endpoint(ROOT, application, "token", None, {})
    await world.broker.subscriptions.subscribe(
        ROOT, topic_arn("t"), "application", endpoint, {}, return_arn=True, base_url=""
    )
    [line] = await world.declare("topics: {t: }", "exact")
    assert line.startswith("delete subscription of application arn:aws:sns:")
    assert await world.subscriptions("t") == {}


# --- confirmations ------------------------------------------------------------------------------


_MAIL = "topics: {t: {subscriptions: [{protocol: email, endpoint: a@example.test}]}}"


async def test_who_has_to_confirm_is_asked_once_and_with_links_to_the_server(
    world: World, write: Write
) -> None:
    for _ in range(2):
        made = await plan(world.broker, load(write(_MAIL)), "exact", ACCOUNT, REGION)
        await apply(world.broker, made, base_url="http://headrace.test")
    [sent] = await world.broker.outbox.deliveries(DeliveryFilter(), limit=10)
    assert sent.publication.base_url == "http://headrace.test"


async def test_a_subscription_that_is_not_confirmed_cannot_be_removed_and_is_told(
    world: World,
) -> None:
    await world.declare(_MAIL)
    assert await world.declare("topics: {t: }", "exact") == [
        f"keep subscription of email a@example.test to topic t in {HERE}, not declared:"
        " unless it is confirmed, it ends itself"
    ]


async def test_rehearsals_send_nothing(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the confirmations that a plan would have sent."""
    woken: list[object] = []
    monkeypatch.setattr("broker.deliveries.pump.Pump.wake", lambda _, lane: woken.append(lane))
    broker = await Broker.open(open_storage("memory", strict=False), FakeClock(), RandomIds())
    world = World(broker, write)
    made = await world.plan(
        "topics: {t: {subscriptions: [{protocol: http, endpoint: 'http://x.test'}]}}"
    )
    assert woken == []
    await apply(broker, made)
    assert len(woken) == 1
    await broker.close()


async def test_a_restart_with_the_same_file_changes_nothing(write: Write, tmp_path: Path) -> None:
    for expected in (10, 0):
        broker = await Broker.open(
            open_storage(f"sqlite:{tmp_path / 'headrace.db'}", strict=True),
            FakeClock(),
            RandomIds(),
            deliveries=NoDeliveries(),
        )
        assert len(await World(broker, write).declare(EVERYTHING, "exact")) == expected
        await broker.close()
