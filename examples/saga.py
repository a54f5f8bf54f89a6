"""A saga: an order goes through three services, and if one fails, those before it undo their part.

    make run                                (in another terminal)
    .venv/bin/python examples/saga.py

Nobody conducts.  Each service has a queue, which is subscribed to the topic of events with a filter
policy that names what it reacts to, and publishes what it did:

    placed -> payment -> charged -> stock -> reserved -> shipping -> shipped
                 |                    |                     |
            not charged          not reserved          not shipped
                 |                    |                     |
             cancelled <- refunded <- payment <- released <- stock

Messages come at least once, and a service can die at any moment.  So a service first writes down
what it did for an order, then publishes it, then deletes the message; asked again, it finds what it
did and publishes that.  To show it, each one here dies the first time it has written something
down.  The topic is FIFO: an event that is published again is recognised by its deduplication id,
and events of an order keep their sequence.

The endpoint is http://127.0.0.1:4566 unless AWS_ENDPOINT_URL or --endpoint says otherwise; any
credentials will do.
"""

import argparse
import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any

import boto3

TIMEOUT_S = 60

Order = dict[str, Any]

ORDERS: dict[str, Order] = {
    "a good order": {"amount": 20, "item": "book", "country": "DE"},
    "no money": {"amount": 2_000, "item": "book", "country": "DE"},
    "nothing in stock": {"amount": 20, "item": "unicorn", "country": "DE"},
    "no way there": {"amount": 20, "item": "book", "country": "Atlantis"},
}
#: after these nothing follows
ENDS = ("shipped", "cancelled")


class Died(Exception):
    """A service died in the middle of its work."""


@dataclass
class Service:
    """One service: what it does when, and what it has done."""

    name: str
    does: dict[str, str]  # the event that it reacts to: what it does, which is the next event
    cannot: dict[str, Any] = field(default_factory=dict)  # orders with this fail here
    #: A table, in a real service: written in one transaction with the work itself.
    done: dict[tuple[str, str], str] = field(default_factory=dict)
    acts: int = 0
    deaths: int = 0

    def handle(self, event: str, order: Order) -> str:
        """Do what an event asks for, once per order; the event that follows."""
        task = self.does[event]
        key = (order["id"], task)
        if key not in self.done:
            self.acts += 1
            failed = any(order[name] == value for name, value in self.cannot.items())
            self.done[key] = f"not {task}" if failed else task
            if not self.deaths:
                self.deaths += 1
                raise Died
        return self.done[key]


def services() -> list[Service]:
    """All of them, with nothing done yet."""
    return [
        Service(
            "payment",
            {"placed": "charged", "not reserved": "refunded", "released": "refunded"},
            cannot={"amount": 2_000},
        ),
        Service(
            "stock", {"charged": "reserved", "not shipped": "released"}, cannot={"item": "unicorn"}
        ),
        Service("shipping", {"reserved": "shipped"}, cannot={"country": "Atlantis"}),
        Service("orders", {"not charged": "cancelled", "refunded": "cancelled"}),
    ]


class Bus:
    """The topic of events, and queues that are subscribed to it."""

    def __init__(self, endpoint: str, name: str) -> None:
        options = {
            "endpoint_url": endpoint,
            "region_name": "us-east-1",
            "aws_access_key_id": "test",
            "aws_secret_access_key": "test",
        }
        self.sns = boto3.client("sns", **options)
        self.sqs = boto3.client("sqs", **options)
        self._name = name
        self._urls: list[str] = []
        self._topic_arn = self.sns.create_topic(
            Name=f"{name}.fifo", Attributes={"FifoTopic": "true"}
        )["TopicArn"]

    def subscribe(self, name: str, events: list[str] | None) -> str:
        """The URL of a new queue that gets some events, or all of them."""
        url: str = self.sqs.create_queue(
            QueueName=f"{self._name}-{name}.fifo", Attributes={"FifoQueue": "true"}
        )["QueueUrl"]
        self._urls.append(url)
        queue = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        attributes = {"RawMessageDelivery": "true"}
        if events is not None:
            attributes["FilterPolicy"] = json.dumps({"event": events})
        self.sns.subscribe(
            TopicArn=self._topic_arn,
            Protocol="sqs",
            Endpoint=queue["Attributes"]["QueueArn"],
            Attributes=attributes,
        )
        return url

    def publish(self, by: str, event: str, order: Order) -> None:
        """Tell all who want to know; telling it again within five minutes changes nothing."""
        self.sns.publish(
            TopicArn=self._topic_arn,
            Message=json.dumps(order),
            MessageAttributes={
                "event": {"DataType": "String", "StringValue": event},
                "by": {"DataType": "String", "StringValue": by},
            },
            MessageGroupId=order["id"],
            MessageDeduplicationId=f"{order['id']}-{event.replace(' ', '-')}",
        )

    def receive(self, url: str) -> list[dict[str, Any]]:
        """What comes within a second."""
        found: list[dict[str, Any]] = self.sqs.receive_message(
            QueueUrl=url, WaitTimeSeconds=1, MessageAttributeNames=["All"]
        ).get("Messages", [])
        return found

    def delete(self, url: str, message: dict[str, Any]) -> None:
        """A message is done with."""
        self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def release(self, url: str, message: dict[str, Any]) -> None:
        """Have a message come again at once, and not only when its visibility timeout ends."""
        self.sqs.change_message_visibility(
            QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
        )

    def close(self) -> None:
        """Remove the topic and its queues."""
        self.sns.delete_topic(TopicArn=self._topic_arn)
        for url in self._urls:
            self.sqs.delete_queue(QueueUrl=url)


def event_of(message: dict[str, Any], attribute: str = "event") -> str:
    """What a message says happened, or who says so."""
    value: str = message["MessageAttributes"][attribute]["StringValue"]
    return value


def work(bus: Bus, service: Service, url: str, stopped: Event) -> None:
    """Do a service's work until it is stopped."""
    while not stopped.is_set():
        for message in bus.receive(url):
            order = json.loads(message["Body"])
            try:
                outcome = service.handle(event_of(message), order)
            except Died:
                bus.release(url, message)
                continue
            bus.publish(service.name, outcome, order)
            bus.delete(url, message)


@contextmanager
def running(bus: Bus, staff: list[Service]) -> Iterator[None]:
    """Run all services, each in a thread with a queue of its own."""
    stopped = Event()
    threads = [
        Thread(
            target=work,
            args=(bus, service, bus.subscribe(service.name, list(service.does)), stopped),
        )
        for service in staff
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


def follow(bus: Bus, url: str, order: Order) -> None:
    """Print what happens to an order until its saga ends."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        for message in bus.receive(url):
            bus.delete(url, message)
            if json.loads(message["Body"])["id"] == order["id"]:
                print(f"  {event_of(message, 'by')}: {event_of(message)}")
                if event_of(message) in ENDS:
                    return
    raise SystemExit(f"the saga did not end within {TIMEOUT_S} s")


def main() -> None:
    """Place all orders, one after the other."""
    parser = argparse.ArgumentParser(description="A saga over topics and queues.")
    parser.add_argument(
        "--endpoint", default=os.environ.get("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    )
    staff = services()
    bus = Bus(parser.parse_args().endpoint, f"saga-{uuid.uuid4().hex[:8]}")
    try:
        observer = bus.subscribe("observer", None)
        with running(bus, staff):
            for title, content in ORDERS.items():
                print(title)
                order = {"id": str(uuid.uuid4()), **content}
                bus.publish("customer", "placed", order)
                follow(bus, observer, order)
    finally:
        bus.close()
    for service in staff:
        print(f"{service.name} did {service.acts} things and died {service.deaths} time(s)")


if __name__ == "__main__":
    main()
