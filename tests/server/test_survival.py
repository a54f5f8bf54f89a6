"""What was acknowledged right before a ``kill -9`` is there after it: every kind of operation."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.process import Refused, Server, until

StartServer = Callable[..., Server]
Message = dict[str, Any]


@pytest.fixture
def server(start_server: StartServer, database: Path) -> Server:
    """A server with a file, strict."""
    return start_server("--store", f"sqlite:{database}")


def send(server: Server, url: str, body: str, **members: Any) -> Message:
    answer: Message = server.call("SendMessage", QueueUrl=url, MessageBody=body, **members)
    return answer


def send_in_group(server: Server, url: str, group: str, *bodies: str) -> list[Message]:
    """Each body is its own deduplication id."""
    return [
        send(server, url, body, MessageGroupId=group, MessageDeduplicationId=body)
        for body in bodies
    ]


def bodies(messages: list[Message]) -> list[str]:
    return [message["Body"] for message in messages]


def delete(server: Server, url: str, message: Message) -> None:
    server.call("DeleteMessage", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def arn(name: str) -> str:
    return f"arn:aws:sqs:us-east-1:000000000000:{name}"


def assert_after_2_s(began: float, ready: float) -> None:
    """Now is two seconds after the beginning, or a restart that took longer, and not much later."""
    now = time.time()
    assert began + 2 <= now < max(began + 2, ready) + 1


# --- messages -----------------------------------------------------------------------------------


def test_messages_are_whole(server: Server) -> None:
    """Bodies, attributes of all types, ids, times and system attributes."""
    url = server.create_queue("jobs")
    attributes = {
        "text": {"DataType": "String", "StringValue": "é🎉\r\n"},
        "number": {"DataType": "Number.int", "StringValue": "007"},
        "bytes": {"DataType": "Binary", "BinaryValue": "AP+AfwA="},
    }
    sent = send(
        server,
        url,
        "<body>\r\n\t&amp; é🎉",
        MessageAttributes=attributes,
        MessageSystemAttributes={
            "AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-2-3"}
        },
    )

    server.kill_and_restart()

    [message] = server.receive(url)
    assert message["Body"] == "<body>\r\n\t&amp; é🎉"
    assert message["MessageAttributes"] == attributes
    assert message["MessageId"] == sent["MessageId"]
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    assert message["Attributes"]["AWSTraceHeader"] == "Root=1-2-3"
    assert abs(int(message["Attributes"]["SentTimestamp"]) / 1000 - time.time()) < 60


def test_a_batch_is_whole(server: Server) -> None:
    url = server.create_queue("jobs")
    server.call(
        "SendMessageBatch",
        QueueUrl=url,
        Entries=[{"Id": f"e{n}", "MessageBody": f"m{n}"} for n in range(10)],
    )
    server.kill_and_restart()
    assert sorted(bodies(server.receive(url))) == [f"m{n}" for n in range(10)]


def test_a_deleted_message_stays_deleted(server: Server) -> None:
    """Deleted alone and in a batch."""
    url = server.create_queue("jobs", VisibilityTimeout="0")
    for number in range(3):
        send(server, url, f"m{number}")
    messages = {message["Body"]: message for message in server.receive(url)}
    delete(server, url, messages["m0"])
    server.call(
        "DeleteMessageBatch",
        QueueUrl=url,
        Entries=[{"Id": "only", "ReceiptHandle": messages["m1"]["ReceiptHandle"]}],
    )

    server.kill_and_restart()

    assert bodies(server.receive(url)) == ["m2"]


def test_a_message_in_flight_is_hidden_until_its_timeout_ends_and_no_longer(
    server: Server,
) -> None:
    url = server.create_queue("jobs")
    send(server, url, "hidden")
    began = time.time()
    server.receive(url, VisibilityTimeout=2)

    server.kill_and_restart()
    ready = time.time()

    assert server.attributes(url)["ApproximateNumberOfMessagesNotVisible"] == "1"
    [message] = server.receive(url, WaitTimeSeconds=10)
    assert_after_2_s(began, ready)
    assert message["Attributes"]["ApproximateReceiveCount"] == "2"


def test_a_changed_visibility_holds(server: Server) -> None:
    """Made longer, and ended."""
    url = server.create_queue("jobs", VisibilityTimeout="1")
    longer, ended = send(server, url, "longer"), send(server, url, "ended")
    for message in server.receive(url, VisibilityTimeout=600):
        server.call(
            "ChangeMessageVisibility",
            QueueUrl=url,
            ReceiptHandle=message["ReceiptHandle"],
            VisibilityTimeout=900 if message["MessageId"] == longer["MessageId"] else 0,
        )

    server.kill_and_restart()

    [message] = server.receive(url)
    assert message["MessageId"] == ended["MessageId"]
    assert server.attributes(url)["ApproximateNumberOfMessagesNotVisible"] == "2"


def test_a_delay_ends_when_it_would_have(server: Server) -> None:
    url = server.create_queue("jobs")
    began = time.time()
    send(server, url, "delayed", DelaySeconds=2)

    server.kill_and_restart()
    ready = time.time()

    assert server.attributes(url)["ApproximateNumberOfMessagesDelayed"] == "1"
    assert bodies(server.receive(url, WaitTimeSeconds=10)) == ["delayed"]
    assert_after_2_s(began, ready)


def test_receive_counts_and_first_receive_times_go_on(server: Server) -> None:
    url = server.create_queue("jobs", VisibilityTimeout="0")
    send(server, url, "again")
    firsts = [server.receive(url)[0]["Attributes"] for _ in range(3)]

    server.kill_and_restart()

    [message] = server.receive(url)
    assert message["Attributes"]["ApproximateReceiveCount"] == "4"
    name = "ApproximateFirstReceiveTimestamp"
    assert message["Attributes"][name] == firsts[0][name]


def test_a_receipt_handle_from_before_works(server: Server) -> None:
    """To change the visibility, and to delete."""
    url = server.create_queue("jobs")
    send(server, url, "mine")
    [message] = server.receive(url, VisibilityTimeout=600)

    server.kill_and_restart()

    server.call(
        "ChangeMessageVisibility",
        QueueUrl=url,
        ReceiptHandle=message["ReceiptHandle"],
        VisibilityTimeout=900,
    )
    delete(server, url, message)
    assert server.attributes(url)["ApproximateNumberOfMessagesNotVisible"] == "0"


def test_a_receipt_handle_of_a_fifo_queue_from_before_works(server: Server) -> None:
    url = server.create_queue("jobs.fifo")
    send_in_group(server, url, "g", "one", "two")
    [first, _] = server.receive(url)

    server.kill_and_restart()

    delete(server, url, first)
    assert server.attributes(url)["ApproximateNumberOfMessagesNotVisible"] == "1"


def test_relaxed_durability_survives_the_death_of_the_process_too(
    start_server: StartServer, database: Path
) -> None:
    """A send, a delete, a hand-out, a duplicate and a purge."""
    server = start_server("--store", f"sqlite:{database}", "--durability", "relaxed")
    url, fifo_url = server.create_queue("jobs"), server.create_queue("jobs.fifo")
    purged_url = server.create_queue("purged")
    send(server, purged_url, "purged")
    server.call("PurgeQueue", QueueUrl=purged_url)
    for body in ("in flight", "deleted"):
        send(server, url, body)
    for message in server.receive(url, VisibilityTimeout=600):
        if message["Body"] == "deleted":
            delete(server, url, message)
    [first] = send_in_group(server, fifo_url, "g", "once")
    send(server, url, "waiting")

    server.kill_and_restart()

    assert bodies(server.receive(url)) == ["waiting"]
    assert server.attributes(url)["ApproximateNumberOfMessagesNotVisible"] == "2"
    assert send_in_group(server, fifo_url, "g", "once")[0]["MessageId"] == first["MessageId"]
    assert bodies(server.receive(fifo_url)) == ["once"]
    assert server.receive(purged_url) == []


# --- FIFO ---------------------------------------------------------------------------------------


def test_a_duplicate_is_recognised(server: Server) -> None:
    """By its id and by its content, also after the message has been deleted."""
    url = server.create_queue("jobs.fifo", ContentBasedDeduplication="true")
    [by_id] = send_in_group(server, url, "g", "by-id")
    by_content = send(server, url, "by-content", MessageGroupId="g")
    for message in server.receive(url):
        delete(server, url, message)

    server.kill_and_restart()

    assert send_in_group(server, url, "g", "by-id")[0]["MessageId"] == by_id["MessageId"]
    again = send(server, url, "by-content", MessageGroupId="g")
    assert again["MessageId"] == by_content["MessageId"]
    assert server.receive(url) == []


def test_sequence_numbers_rise_across_kills(server: Server) -> None:
    url = server.create_queue("jobs.fifo")
    numbers = []
    for body in ("one", "two", "three"):
        [sent] = send_in_group(server, url, "g", body)
        numbers.append(int(sent["SequenceNumber"]))
        server.kill_and_restart()
    assert numbers == sorted(set(numbers))
    received = [int(message["Attributes"]["SequenceNumber"]) for message in server.receive(url)]
    assert received == numbers


def test_a_group_keeps_its_order_and_its_lock(server: Server) -> None:
    """While a message is in flight nothing else of its group is handed out, also afterwards."""
    url = server.create_queue("jobs.fifo")
    send_in_group(server, url, "locked", "l1", "l2", "l3")
    [in_flight] = server.receive(url, MaxNumberOfMessages=1)
    send_in_group(server, url, "free", "f1", "f2")

    server.kill_and_restart()
    send_in_group(server, url, "locked", "l4")

    assert bodies(server.receive(url)) == ["f1", "f2"]
    assert server.receive(url) == []
    delete(server, url, in_flight)
    assert bodies(server.receive(url)) == ["l2", "l3", "l4"]


def test_a_receive_attempt_can_be_repeated(server: Server) -> None:
    """As when the answer was lost with the server: the same attempt brings the same messages."""
    url = server.create_queue("jobs.fifo")
    send_in_group(server, url, "g", "one", "two")
    first = server.receive(url, ReceiveRequestAttemptId="attempt")

    server.kill_and_restart()

    again = server.receive(url, ReceiveRequestAttemptId="attempt")
    assert [message["MessageId"] for message in again] == [
        message["MessageId"] for message in first
    ]


# --- queues -------------------------------------------------------------------------------------


def test_a_purge_holds(server: Server) -> None:
    """What came before it is gone, what came after it is there, and the 60 s go on."""
    url = server.create_queue("jobs")
    for number in range(5):
        send(server, url, f"before {number}")
    server.call("PurgeQueue", QueueUrl=url)
    send(server, url, "after")

    server.kill_and_restart()

    assert bodies(server.receive(url)) == ["after"]
    with pytest.raises(Refused) as refused:
        server.call("PurgeQueue", QueueUrl=url)
    assert "PurgeQueueInProgress" in refused.value.code


def test_attributes_tags_and_policy_of_a_queue_hold(server: Server) -> None:
    url = server.create_queue("jobs", VisibilityTimeout="7")
    dead_url = server.create_queue("dead")
    redrive = f'{{"deadLetterTargetArn":"{arn("dead")}","maxReceiveCount":3}}'
    server.call(
        "SetQueueAttributes",
        QueueUrl=url,
        Attributes={"DelaySeconds": "2", "RedrivePolicy": redrive},
    )
    server.call("TagQueue", QueueUrl=url, Tags={"kept": "1", "dropped": "2"})
    server.call("UntagQueue", QueueUrl=url, TagKeys=["dropped"])
    server.call(
        "AddPermission",
        QueueUrl=url,
        Label="label",
        AWSAccountIds=["123456789012"],
        Actions=["SendMessage"],
    )
    before = server.attributes(url)

    server.kill_and_restart()

    after = server.attributes(url)
    assert after == before
    assert (after["VisibilityTimeout"], after["DelaySeconds"]) == ("7", "2")
    assert "123456789012" in after["Policy"]
    assert server.call("ListQueueTags", QueueUrl=url)["Tags"] == {"kept": "1"}
    sources = server.call("ListDeadLetterSourceQueues", QueueUrl=dead_url)["queueUrls"]
    assert [source.rpartition("/")[2] for source in sources] == ["jobs"]


def test_a_deleted_queue_stays_deleted_and_a_new_one_of_its_name_is_empty(
    server: Server,
) -> None:
    for name in ("gone", "renewed"):
        url = server.create_queue(name)
        send(server, url, "old")
        server.call("DeleteQueue", QueueUrl=url)
    server.create_queue("renewed")

    server.kill_and_restart()

    [url] = server.call("ListQueues")["QueueUrls"]
    assert url.endswith("/renewed")
    assert server.receive(url) == []
    with pytest.raises(Refused, match="QueueDoesNotExist"):
        server.call("GetQueueUrl", QueueName="gone")


# --- dead letters -------------------------------------------------------------------------------


def test_a_message_moved_to_its_dead_letter_queue_is_there_and_only_there(server: Server) -> None:
    dead_url = server.create_queue("dead")
    url = server.create_queue(
        "jobs",
        VisibilityTimeout="0",
        RedrivePolicy=f'{{"deadLetterTargetArn":"{arn("dead")}","maxReceiveCount":1}}',
    )
    sent = send(server, url, "poison")
    assert bodies(server.receive(url)) == ["poison"]
    assert server.receive(url) == []

    server.kill_and_restart()

    assert server.receive(url) == []
    [message] = server.receive(dead_url)
    assert message["MessageId"] == sent["MessageId"]
    assert message["Attributes"]["DeadLetterQueueSourceArn"] == arn("jobs")


def test_a_move_task_goes_on(server: Server) -> None:
    """Every message arrives once, and the task's own count is right at the end."""
    dead_url = server.create_queue("dead")
    url = server.create_queue(
        "jobs", RedrivePolicy=f'{{"deadLetterTargetArn":"{arn("dead")}","maxReceiveCount":1}}'
    )
    names = [f"m{number}" for number in range(20)]
    for name in names:
        send(server, dead_url, name)

    def task() -> dict[str, Any]:
        answer = server.call("ListMessageMoveTasks", SourceArn=arn("dead"))
        latest: dict[str, Any] = answer["Results"][0]
        return latest

    server.call(
        "StartMessageMoveTask",
        SourceArn=arn("dead"),
        DestinationArn=arn("jobs"),
        MaxNumberOfMessagesPerSecond=10,
    )
    until(lambda: task()["ApproximateNumberOfMessagesMoved"] >= 3)

    server.kill_and_restart()

    assert task()["Status"] == "RUNNING"
    until(lambda: task()["Status"] != "RUNNING")
    assert task()["Status"] == "COMPLETED"
    assert task()["ApproximateNumberOfMessagesMoved"] == len(names)
    arrived: list[str] = []
    while found := server.receive(url):
        arrived += bodies(found)
    assert sorted(arrived) == sorted(names)
    assert server.receive(dead_url) == []
