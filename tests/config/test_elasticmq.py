"""``elasticmq.conf`` is read as it is."""

import pytest

from api.config import ConfigError, Declaration, check, load
from tests.config.conftest import Write

#: with everything that ElasticMQ documents
SAMPLE = """
include classpath("application.conf")

// What is the outside visible address of this ElasticMQ node
node-address {
  protocol = http
  host = localhost
  port = 9324
  context-path = ""
}

rest-sqs {
  enabled = true
  bind-port = 9324
  bind-hostname = "0.0.0.0"
  # Possible values: relaxed, strict
  sqs-limits = strict
}

queues {
  queue1 {
    defaultVisibilityTimeout = 10 seconds
    delay = 5 seconds
    receiveMessageWait = 0 seconds
    deadLettersQueue {
      name = "queue1-dead-letters"
      maxReceiveCount = 3 // from 1 to 1000
    }
    fifo = false
    contentBasedDeduplication = false
    copyTo = "audit-queue-name"
    moveTo = "redirect-queue-name"
    tags {
      tag1 = "tagged1"
      tag2 = 2
    }
  }
  queue1-dead-letters { }
  orders { fifo = true, contentBasedDeduplication = true, deadLettersQueue { name = dlq, maxReceiveCount = 2 } }
  "dlq.fifo" { fifo = true }
}

auto-create-queues { enabled = false, template { defaultVisibilityTimeout = 1 minute } }
queues-storage { enabled = true, path = "/data/queues.conf" }
messages-storage { enabled = false, uri = "jdbc:h2:/data/elasticmq-h2" }

aws {
  region = eu-central-1
  accountId = 000000000000
}
"""  # noqa: E501


def line_of(text: str) -> int:
    """The line of the sample that begins with a text."""
    [number] = [n for n, line in enumerate(SAMPLE.split("\n"), 1) if line.strip().startswith(text)]
    return number


def queues(declaration: Declaration) -> dict[str, dict[str, str]]:
    """The attributes of the queues."""
    [block] = declaration.blocks
    return {name: queue.attributes for name, queue in (block.content.queues or {}).items()}


def test_the_documented_configuration_is_read(write: Write) -> None:
    declaration = load(write(SAMPLE, "elasticmq.conf"))
    assert queues(declaration) == {
        "queue1": {
            "VisibilityTimeout": "10",
            "DelaySeconds": "5",
            "ReceiveMessageWaitTimeSeconds": "0",
            "FifoQueue": "false",
            "ContentBasedDeduplication": "false",
        },
        "queue1-dead-letters": {},
        "orders.fifo": {"FifoQueue": "true", "ContentBasedDeduplication": "true"},
        "dlq.fifo": {"FifoQueue": "true"},
    }
    [block] = declaration.blocks
    assert (block.account, block.region) == ("000000000000", "eu-central-1")
    assert block.content.queues is not None
    queue1, orders = block.content.queues["queue1"], block.content.queues["orders.fifo"]
    assert queue1.tags == {"tag1": "tagged1", "tag2": "2"}
    assert queue1.dead_letter_queue is not None and orders.dead_letter_queue is not None
    assert queue1.dead_letter_queue.name == "queue1-dead-letters"
    assert queue1.dead_letter_queue.max_receive_count == 3
    assert orders.dead_letter_queue.name == "dlq.fifo"


async def test_the_documented_configuration_can_be_applied(write: Write) -> None:
    status, lines = await check(write(SAMPLE, "elasticmq.conf"))
    assert (status, lines[-1].rpartition(": ")[2]) == (0, "ok, 4 queues, 0 topics, 0 subscriptions")


def test_what_it_says_of_the_server_is_suggested(write: Write) -> None:
    declaration = load(write(SAMPLE, "elasticmq.conf"))
    assert declaration.server_settings == {
        "port": "9324",
        "host": "0.0.0.0",  # noqa: S104
        "region": "eu-central-1",
        "account": "000000000000",
    }


def test_a_host_that_clients_are_to_use_is_suggested(write: Write) -> None:
    path = write('node-address { host = "sqs.test", port = 80 }', "e.conf")
    assert load(path).server_settings == {"public_url": "http://sqs.test:80"}


def test_what_is_not_supported_is_said(write: Write) -> None:
    path = write(SAMPLE, "elasticmq.conf")
    copying = "is not supported: messages stay in their queue"
    stored = "is not used: see --store for where messages are kept"
    assert load(path).warnings == [
        f"{path}:{line_of('copyTo')}: queues.queue1.copyTo: {copying}",
        f"{path}:{line_of('moveTo')}: queues.queue1.moveTo: {copying}",
        f"{path}:{line_of('queues-storage')}: queues-storage: {stored}",
    ]


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("auto-create-queues.enabled = true", "1: auto-create-queues: is not supported"),
        ("messages-storage.enabled = true", "1: messages-storage: is not used"),
        ("rest-sqs.sqs-limits = relaxed", "1: rest-sqs.sqs-limits: is not supported"),
        ("node-address.context-path = sqs", "1: node-address.context-path: is not supported"),
        ("queues.a.delay = 5000", "1: queues.a.delay: is 5000 milliseconds"),
        ("queues.a.delay = ${?DELAY}\nqueues.a.fifo = false", "1: queues.a.delay: ${?DELAY} is"),
    ],
)
def test_each_thing_that_is_not_supported_is_said(write: Write, text: str, warning: str) -> None:
    path = write("queues {}\n" + text, "e.conf")
    number, rest = warning.split(":", 1)
    [line] = load(path).warnings[-1:]
    assert line.startswith(f"{path}:{int(number) + 1}:{rest}")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30 seconds", 30), ("30s", 30), ("1 minute", 60), ("2h", 7200), ("1500 ms", 1), ("0", 0)],
)
def test_durations_are_those_of_hocon(write: Write, text: str, seconds: int) -> None:
    path = write(f"queues.a.defaultVisibilityTimeout = {text}", "e.conf")
    assert queues(load(path))["a"] == {"VisibilityTimeout": str(seconds)}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("queues { a { dealy = 1 s } }", "1: queues.a.dealy: unknown key; did you mean delay?"),
        ("queues { a { delay = soon } }", "1: queues.a.delay: must be a duration"),
        ("queues {\n a = 3\n}", "2: queues.a: must be a mapping"),
        ("queue { a { } }", "1: queue: unknown key; did you mean queues?"),
        ("queues.a.fifo = maybe", "1: queues.a.fifo: must be true or false"),
        ("queues.a.deadLettersQueue.name = b", "1: queues.a.deadLettersQueue: maxReceiveCount is"),
        ("rest-sqs.bind-port = [1]", "1: rest-sqs.bind-port: must be a text or a number"),
        ("aws.accountId = 1", "1: aws.accountId: an account has 12 digits"),
    ],
)
def test_mistakes_are_told_by_the_names_of_elasticmq(write: Write, text: str, line: str) -> None:
    path = write(text, "e.conf")
    with pytest.raises(ConfigError) as caught:
        load(path)
    [told] = caught.value.lines
    assert told.startswith(f"{path}:{line}")


async def test_a_dead_letter_queue_that_is_not_there_is_told(write: Write) -> None:
    path = write("queues.a.deadLettersQueue { name = b, maxReceiveCount = 1 }", "e.conf")
    _, [line] = await check(path)
    assert line.startswith(f"{path}:1: queues.a.deadLettersQueue.name: no queue b is declared")
