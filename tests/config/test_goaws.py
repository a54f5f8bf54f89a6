"""``goaws.yaml`` is read as it is."""

import pytest

from api.config import ConfigError, check, load
from tests.config.conftest import Write

SAMPLE = """\
Local:                               # Environment name that can be passed on the command line
  Host: goaws.test                   # hostname of the goaws system
  Port: 4100                         # port to listen on
  Region: eu-west-1
  AccountId: "100010001000"
  LogToFile: true
  LogFile: ./goaws_messages.log
  EnableDuplicates: false
  QueueAttributeDefaults:
    VisibilityTimeout: 10
    ReceiveMessageWaitTimeSeconds: 1
    MaximumMessageSize: 262144
  Queues:
    - Name: local-queue1
    - Name: local-queue2
      ReceiveMessageWaitTimeSeconds: 20
    - Name: local-queue3
      RedrivePolicy: '{"maxReceiveCount": 100, "deadLetterTargetArn":"arn:aws:sqs:us-east-1:100010001000:local-queue3-dlq"}'
      MaximumMessageSize: 65536
    - Name: local-queue3-dlq
  Topics:
    - Name: local-topic1
      Subscriptions:
        - QueueName: local-queue3
          Raw: false
        - QueueName: local-queue4
          Raw: true
          FilterPolicy: '{"foo": ["bar"]}'
        - Protocol: http
          EndPoint: http://example.test/hook
          TopicArn: arn:aws:sns:eu-west-1:100010001000:local-topic1
    - Name: local-topic2
  RandomLatency:
    Min: 0
    Max: 5
Dev:
  Host: localhost
"""  # noqa: E501


def line_of(text: str) -> int:
    """The line of the sample that begins with a text."""
    [number] = [n for n, line in enumerate(SAMPLE.split("\n"), 1) if line.strip().startswith(text)]
    return number


def test_the_documented_configuration_is_read(write: Write) -> None:
    [block] = load(write(SAMPLE, "goaws.yaml")).blocks
    queues, topics = block.content.queues, block.content.topics
    assert queues is not None and topics is not None
    assert (block.account, block.region) == ("100010001000", "eu-west-1")
    usual = {
        "VisibilityTimeout": "10",
        "ReceiveMessageWaitTimeSeconds": "1",
        "MaximumMessageSize": "262144",
    }
    assert {name: queue.attributes for name, queue in queues.items()} == {
        "local-queue1": usual,
        "local-queue2": {**usual, "ReceiveMessageWaitTimeSeconds": "20"},
        "local-queue3": {**usual, "MaximumMessageSize": "65536"},
        "local-queue3-dlq": usual,
        "local-queue4": usual,  # only subscribed
    }
    dead_letters = queues["local-queue3"].dead_letter_queue
    assert dead_letters is not None
    assert (dead_letters.name, dead_letters.max_receive_count) == ("local-queue3-dlq", 100)
    assert [
        (each.queue or each.endpoint, each.attributes)
        for each in topics["local-topic1"].subscriptions
    ] == [
        ("local-queue3", {"RawMessageDelivery": "false"}),
        ("local-queue4", {"RawMessageDelivery": "true", "FilterPolicy": '{"foo": ["bar"]}'}),
        ("http://example.test/hook", {}),
    ]
    assert topics["local-topic2"].subscriptions == []


async def test_the_documented_configuration_can_be_applied(write: Write) -> None:
    status, lines = await check(write(SAMPLE, "goaws.yaml"))
    assert status == 0
    assert lines[-1].endswith("goaws.yaml: ok, 5 queues, 2 topics, 3 subscriptions")


async def test_queues_that_say_they_are_not_fifo_can_be_made(write: Write) -> None:
    text = "Local: {QueueAttributeDefaults: {FifoQueue: false}, Queues: [{Name: a}, {Name: b}]}"
    _, lines = await check(write(text, "goaws.yaml"))
    assert lines[-1].endswith("ok, 2 queues, 0 topics, 0 subscriptions")


def test_what_it_says_of_the_server_is_suggested_and_the_rest_said(write: Write) -> None:
    path = write(SAMPLE, "goaws.yaml")
    declaration = load(path)
    assert declaration.server_settings == {
        "port": "4100",
        "region": "eu-west-1",
        "account": "100010001000",
        "public_url": "http://goaws.test:4100",
    }
    assert [line.removeprefix(f"{path}:") for line in declaration.warnings] == [
        f"{line_of('LogToFile')}: Local.LogToFile: is not supported: logs go to standard error",
        f"{line_of('LogFile')}: Local.LogFile: is not supported: logs go to standard error",
        f"{line_of('RandomLatency')}: Local.RandomLatency: is not supported",
        f"{line_of('Dev')}: Dev: is not used: the environment Local is",
    ]


def test_separate_ports_become_one(write: Write) -> None:
    path = write("Dev: {SqsPort: 9324, SnsPort: 9292, Queues: []}")
    declaration = load(path)
    assert declaration.server_settings == {"port": "9324"}
    assert declaration.warnings == [
        f"{path}:1: Dev.SnsPort: is not listened on: one port serves both"
    ]


def test_headraces_own_file_is_not_taken_for_one(write: Write) -> None:
    [block] = load(write("queues: {Queues: , Host: }", "goaws.yaml")).blocks
    assert set(block.content.queues or {}) == {"Queues", "Host"}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Local:\n  Queus: []\n  Host: x", "2: Local.Queus: unknown key; did you mean Queues?"),
        ("Local: {Queues: [{}]}", "1: Local.Queues[0]: must have a Name"),
        ("Local: {Queues: {a: }}", "1: Local.Queues: must be a list"),
        ("Local:\n  Queues:\n  - Name: a\n  - Name: a", "4: Local.Queues[1].Name: a is there"),
        ("Local: {Queues: [{Name: a, RedrivePolicy: x}]}", "1: Local.Queues[0].RedrivePolicy: mu"),
        ("Local: {Queues: [{Name: a, Visibility: 3}]}", "1: Local.Queues[0].Visibility: unknown k"),
        ("Local: {Topics: [{Name: a, Subscriptions: [{Raw: true}]}]}", "1: Local.Topics[0].Subsc"),
        ("Local: {Topics: [{Name: a, Subscriptions: [{Queue: b}]}]}", "1: Local.Topics[0].Subsc"),
    ],
)
def test_mistakes_are_told_by_the_names_of_goaws(write: Write, text: str, line: str) -> None:
    path = write(text, "goaws.yaml")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert caught.value.lines[0].startswith(f"{path}:{line}")
