"""What a file may say, and what is told of one that cannot be used."""

import json
from pathlib import Path

import pytest

from api.config import ConfigError, check, load
from api.config.models import DeadLetterQueue, File, Queue, Subscription, Topic, schema_text
from broker import QUEUE_ATTRIBUTE_NAMES
from broker.queue_attributes import ATTRIBUTES
from broker.subscription_attributes import _NAMES as SUBSCRIPTION_ATTRIBUTE_NAMES
from broker.topic_attributes import _ATTRIBUTES as TOPIC_ATTRIBUTES
from tests.config.conftest import Write

SCHEMA = Path(__file__).parents[2] / "docs" / "headrace.schema.json"


def errors(path: Path) -> list[str]:
    """The lines of what is wrong, without the folder."""
    with pytest.raises(ConfigError) as caught:
        load(path)
    return [line.removeprefix(f"{path.parent}/") for line in caught.value.lines]


async def refusals(path: Path) -> list[str]:
    """The lines that ``check`` has for a file, without the folder."""
    status, lines = await check(path)
    assert status == 2
    return [line.removeprefix(f"{path.parent}/") for line in lines]


# --- attributes ---------------------------------------------------------------------------------


def test_every_attribute_of_the_broker_can_be_declared() -> None:
    assert set(Queue.attribute_fields().values()) == set(ATTRIBUTES) < QUEUE_ATTRIBUTE_NAMES
    assert set(Topic.attribute_fields().values()) == set(TOPIC_ATTRIBUTES)
    assert set(Subscription.attribute_fields().values()) == set(SUBSCRIPTION_ATTRIBUTE_NAMES)
    assert DeadLetterQueue.attribute_fields() == File.attribute_fields() == {}


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("30", 30), ("30s", 30), ("5m", 300), ("2 h", 7200), ("4d", 345_600), ("1w", 604_800)],
)
@pytest.mark.parametrize("key", ["messageRetentionPeriod", "MessageRetentionPeriod"])
def test_durations_are_seconds_or_have_a_unit(
    write: Write, key: str, given: str, seconds: int
) -> None:
    declaration = load(write(f"queues: {{a: {{{key}: {given}}}}}"))
    assert declaration.blocks[0].content.queues is not None
    queue = declaration.blocks[0].content.queues["a"]
    assert queue.attributes == {"MessageRetentionPeriod": str(seconds)}


def test_attributes_are_given_as_aws_takes_them(write: Write) -> None:
    path = write(
        """
        topics:
          t:
            displayName: 5
            httpSuccessFeedbackRoleArn: arn
            SQSSuccessFeedbackSampleRate: 10
            deliveryPolicy: {"http": {"defaultHealthyRetryPolicy": {"numRetries": 2}}}
            subscriptions:
              - {queue: a, raw: true, filterPolicy: '{"a": [1]}'}
        """
    )
    topics = load(path).blocks[0].content.topics
    assert topics is not None
    assert topics["t"].attributes == {
        "DisplayName": "5",
        "HTTPSuccessFeedbackRoleArn": "arn",
        "SQSSuccessFeedbackSampleRate": "10",
        "DeliveryPolicy": '{"http": {"defaultHealthyRetryPolicy": {"numRetries": 2}}}',
    }
    assert topics["t"].subscriptions[0].attributes == {
        "RawMessageDelivery": "true",
        "FilterPolicy": '{"a": [1]}',
    }


def test_accounts_and_regions_are_inherited(write: Write) -> None:
    path = write(
        """
        account: 111111111111
        region: eu-west-1
        queues: {a: }
        regions: {eu-west-2: {queues: {b: }}}
        accounts:
          "222222222222": {queues: {c: }}
          "333333333333": {region: eu-west-3, topics: {d: }, regions: {eu-west-4: }}
        """
    )
    assert [(block.account, block.region) for block in load(path).blocks] == [
        ("111111111111", "eu-west-1"),
        ("111111111111", "eu-west-2"),
        ("222222222222", "eu-west-1"),
        ("333333333333", "eu-west-3"),
        ("333333333333", "eu-west-4"),
    ]


# --- mistakes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "queues:\n  a: {visiblityTimeout: 3}",
            "2: queues.a.visiblityTimeout: unknown key; did you mean visibilityTimeout?",
        ),
        (
            "queues:\n  a:\n    delay: 3",
            "3: queues.a.delay: unknown key; did you mean delaySeconds?",
        ),
        ("topcs: {}", "1: topcs: unknown key; did you mean topics?"),
        (
            "xyz: {}",
            "1: xyz: unknown key; known are queues, topics, region, regions, account, accounts",
        ),
        (
            "accounts: {'111111111111': {regions: {eu-west-1: {queue: }}}}",
            "1: accounts.111111111111.regions.eu-west-1.queue: unknown key; did you mean queues?",
        ),
        (
            "topics: {t: {subscriptions: [{queue: a, filter: {}}]}}",
            "1: topics.t.subscriptions[0].filter: unknown key; did you mean filterPolicy?",
        ),
        (
            "queues: {a: {VisibilityTimeout: 1, visibilityTimeout: 2}}",
            "1: queues.a.VisibilityTimeout: is there twice: as visibilityTimeout, too",
        ),
        (
            "queues: {a: {VisibilityTimeout: 5x}}",
            "1: queues.a.VisibilityTimeout: must be a number of seconds, or a text such as "
            "30s, 5m, 12h, 4d, 2w",
        ),
        (
            "queues: {a: {visibilityTimeout: true}}",
            "1: queues.a.visibilityTimeout: must be a number of seconds, or a text such as "
            "30s, 5m, 12h, 4d, 2w",
        ),
        (
            "queues: {a: {maximumMessageSize: 1.5}}",
            "1: queues.a.maximumMessageSize: must be a whole number",
        ),
        ("queues: {a: {fifoQueue: yes}}", "1: queues.a.fifoQueue: must be true or false"),
        ("queues: {a: {policy: [1]}}", "1: queues.a.policy: must be a mapping, or JSON in a text"),
        ("queues: {a: {tags: {x: [1]}}}", "1: queues.a.tags.x: must be a text"),
        ("queues: [a, b]", "1: queues: must be a mapping"),
        ("queues: {a: 3}", "1: queues.a: must be a mapping"),
        (
            "queues: {a: {deadLetterQueue: {name: b}}}",
            "1: queues.a.deadLetterQueue: maxReceiveCount is missing",
        ),
        (
            "queues: {a: {deadLetterQueue: {name: b, maxReceiveCount: 1}, redrivePolicy: {}}}",
            "1: queues.a: give deadLetterQueue or redrivePolicy, not both",
        ),
        ("topics: {t: {subscriptions: {queue: a}}}", "1: topics.t.subscriptions: must be a list"),
        (
            "topics: {t: {subscriptions: [{}]}}",
            "1: topics.t.subscriptions[0]: give queue, or protocol and endpoint",
        ),
        (
            "topics: {t: {subscriptions: [{queue: a, protocol: sqs}]}}",
            "1: topics.t.subscriptions[0]: give queue, or protocol and endpoint, not both",
        ),
        (
            "topics: {t: {subscriptions: [{queue: a, raw: true, RawMessageDelivery: true}]}}",
            "1: topics.t.subscriptions[0]: give raw or rawMessageDelivery, not both",
        ),
        (
            "topics: {t: {subscriptions: [{protocol: application, endpoint: x}]}}",
            "1: topics.t.subscriptions[0]: endpoints of mobile applications are not "
            "declared, but made by calls",
        ),
        ("account: 12", "1: account: an account has 12 digits"),
        ("accounts:\n  x:\n    queues:", "2: accounts.x: an account has 12 digits"),
        ("region: US", "1: region: a region is named like us-east-1"),
        ("- a", "1: must be a mapping"),
    ],
)
def test_a_mistake_is_told_with_line_path_and_reason(write: Write, text: str, line: str) -> None:
    assert errors(write(text)) == [f"headrace.yaml:{line}"]


def test_several_mistakes_are_told_at_once_in_order_of_lines(write: Write) -> None:
    path = write("queues:\n  b: {x: 1}\n  a: {fifoQueue: 3}\nregion: 5\n")
    assert [line.split(": ")[0] for line in errors(path)] == [
        "headrace.yaml:2", "headrace.yaml:3", "headrace.yaml:4"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "queues:\n  a:\n    visibilityTimeout: 12h1",
            "3: queues.a.visibilityTimeout: must be a number",
        ),
        (
            "queues:\n  a:\n    visibilityTimeout: 13h",
            "3: queues.a.visibilityTimeout: 13h: Invalid value for the parameter "
            "VisibilityTimeout.",
        ),
        ("queues:\n  a!:", "2: queues.a!: Can only include alphanumeric characters"),
        ("queues:\n  a.fifo: {fifoQueue: false}", "2: queues.a.fifo"),
        ("queues:\n  a: {fifoQueue: true}", "2: queues.a: The name of a FIFO queue can only"),
        (
            "queues:\n  a.fifo: {fifoThroughputLimit: perMessageGroupId}",
            "2: queues.a.fifo: The perMessageGroupId value is allowed only",
        ),
        (
            "queues:\n  a: {contentBasedDeduplication: true}",
            "2: queues.a.contentBasedDeduplication: true: Unknown Attribute "
            "ContentBasedDeduplication.",
        ),
        ("queues:\n  a: {tags: {'aws:x': 1}}", "2: queues.a: Tag keys must not begin"),
        (
            "queues:\n  a: {deadLetterQueue: {name: b, maxReceiveCount: 0}}\n  b:",
            "2: queues.a.deadLetterQueue: Value {",
        ),
        (
            "queues:\n  a:\n    deadLetterQueue: {name: oders, maxReceiveCount: 1}\n  orders:",
            "3: queues.a.deadLetterQueue.name: no queue oders is declared for account and "
            "region 000000000000/us-east-1; did you mean orders?",
        ),
        (
            "queues:\n  a:\n    redrivePolicy: {deadLetterTargetArn: "
            "'arn:aws:sqs:us-east-1:000000000000:x', maxReceiveCount: 1}",
            "3: queues.a.redrivePolicy: Value {",
        ),
        (
            "queues:\n  a: {deadLetterQueue: {name: b.fifo, maxReceiveCount: 1}}\n  b.fifo:",
            "2: queues.a.deadLetterQueue: Value {",
        ),
        (
            "topics:\n  t: {tracingConfig: x}",
            "2: topics.t.tracingConfig: Invalid parameter: Attributes Reason: TracingConfig",
        ),
        (
            "topics:\n  t:\n    subscriptions:\n      - {protocol: carrier, endpoint: x}",
            "4: topics.t.subscriptions[0]: Invalid parameter: Amazon SNS does not support "
            "this protocol",
        ),
        (
            "topics:\n  t:\n    subscriptions:\n      - queue: a\n        filterPolicy: {x: "
            "3}\nqueues: {a: }",
            "5: topics.t.subscriptions[0].filterPolicy: Invalid parameter: Attributes "
            "Reason: FilterPolicy",
        ),
        (
            "topics:\n  t:\n    subscriptions: [{queue: a}]",
            "3: topics.t.subscriptions[0].queue: no queue a is declared",
        ),
        (
            "topics:\n  t:\n    subscriptions: [{queue: a.fifo}]\nqueues: {a.fifo: }",
            "3: topics.t.subscriptions[0]: Invalid parameter",
        ),
        (
            "topics:\n  t:\n    subscriptions:\n      - {queue: a}\n      - {queue: a}\nqueues: "
            "{a: }",
            "5: topics.t.subscriptions[1]: is there twice, first in line 4 "
            "(topics.t.subscriptions[0])",
        ),
        (
            "topics:\n  t: {dataProtectionPolicy: {}}",
            "2: topics.t: Invalid parameter: DataProtectionPolicy",
        ),
        (
            "queues: {a: }\nregions:\n  us-east-1:\n    queues: {a: }",
            "4: regions.us-east-1.queues.a: is there twice, first in line 1 (queues.a)",
        ),
    ],
)
async def test_what_the_broker_refuses_is_told_where_it_stands(
    write: Write, text: str, line: str
) -> None:
    [told] = await refusals(write(text))
    assert told.startswith(f"headrace.yaml:{line}")


async def test_what_follows_of_a_refusal_is_not_told_too(write: Write) -> None:
    path = write(
        """
        queues:
          a: {deadLetterQueue: {name: b, maxReceiveCount: 1}}
          b: {delaySeconds: 1000}
        topics:
          t: {subscriptions: [{queue: b}]}
          u: {signatureVersion: 3, subscriptions: [{queue: a}]}
        """
    )
    assert [line.split(": ")[1] for line in await refusals(path)] == [
        "queues.b.delaySeconds",
        "topics.u.signatureVersion",
    ]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "no such file or directory"),
        (lambda path: path.mkdir(), "is a directory: containers make one where a file that is"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "is not UTF-8 text"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, make: object, reason: str) -> None:
    path = tmp_path / "headrace.yaml"
    assert callable(make)
    make(path)
    [line] = errors(path)
    assert line.startswith(f"headrace.yaml: {reason}")


# --- check and schema ---------------------------------------------------------------------------


async def test_check_counts_what_is_declared(write: Write) -> None:
    path = write(
        """
        queues: {a: , b: }
        topics: {t: {subscriptions: [{queue: a}, {protocol: https, endpoint: "https://x.test"}]}}
        accounts: {111111111111: {queues: {c: }}}
        """
    )
    assert await check(path) == (0, [f"{path}: ok, 3 queues, 1 topic, 2 subscriptions"])


@pytest.mark.parametrize("text", ["", "region: eu-west-1"])
async def test_a_file_that_declares_nothing_is_remarked_on(write: Write, text: str) -> None:
    path = write(text)
    assert await check(path) == (
        0,
        [
            f"{path}: declares no queues and no topics",
            f"{path}: ok, 0 queues, 0 topics, 0 subscriptions",
        ],
    )


def test_the_published_schema_is_that_of_the_models() -> None:
    """If not: python -c 'from api.config.models import *; print(schema_text(), end="")'."""
    assert SCHEMA.read_text("utf-8") == schema_text()


def test_the_schema_knows_both_spellings_and_names_without_content() -> None:
    definitions = json.loads(schema_text())["$defs"]
    queue = definitions["Queue"]
    assert queue["properties"]["visibilityTimeout"] == queue["properties"]["VisibilityTimeout"]
    assert queue["type"] == ["object", "null"]
    assert queue["additionalProperties"] is False
    assert definitions["DeadLetterQueue"]["required"] == ["name", "maxReceiveCount"]
    assert definitions["Subscription"]["type"] == "object"
