"""A subscription by e-mail: who confirms it, and where the mail is.

    make run ARGS="--smtp smtp://127.0.0.1:1025"    (in another terminal)
    .venv/bin/python examples/sns_email.py --address you@example.com

``--smtp`` names the mail server that Headrace hands mail to: smtp://[user:password@]host[:port], or
smtps://, with ?starttls=true if wanted; ``--mail-from`` is the sender.  While you develop, that can
be a server that only shows what it gets.  Without ``--smtp`` nothing is sent: mail waits in the
outbox, GET /_headrace/outbox, and goes out when Headrace is started with ``--smtp`` some day.

The recipient confirms by following the link in the mail.  This program does without: it reads the
token from the outbox, as the tests of an application would.  The endpoint is http://127.0.0.1:4566
unless AWS_ENDPOINT_URL or --endpoint says otherwise; any credentials will do.
"""

import argparse
import json
import os
import time
import urllib.parse
import urllib.request
from typing import Any

import boto3

TIMEOUT_S = 30


def newest_mail(endpoint: str, topic_arn: str, address: str) -> dict[str, Any]:
    """The newest mail of a topic to an address, as the outbox tells it."""
    query = urllib.parse.urlencode(
        {"topicArn": topic_arn, "endpoint": address, "order": "newest", "limit": 1}
    )
    with urllib.request.urlopen(  # noqa: S310 - what the user said
        f"{endpoint.rstrip('/')}/_headrace/outbox?{query}", timeout=TIMEOUT_S
    ) as answer:
        mail: dict[str, Any] = json.load(answer)["deliveries"][0]
    return mail


def tell(endpoint: str, topic_arn: str, address: str) -> None:
    """Print what became of the newest mail, once it is decided."""
    deadline = time.monotonic() + TIMEOUT_S
    while (mail := newest_mail(endpoint, topic_arn, address))["status"] == "pending":
        if time.monotonic() > deadline:
            break  # the mail server does not answer; Headrace goes on trying for hours
        time.sleep(0.05)
    print(f"{mail['kind']} to {mail['endpoint']}: {mail['status']} ({mail['response']})")


def main() -> None:
    """Subscribe an address, confirm, publish."""
    parser = argparse.ArgumentParser(description="A subscription by e-mail.")
    parser.add_argument(
        "--endpoint", default=os.environ.get("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    )
    parser.add_argument("--address", default="reader@example.com")
    options = parser.parse_args()
    endpoint, address = options.endpoint, options.address
    sns = boto3.client(
        "sns",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    topic_arn = sns.create_topic(Name="letters", Attributes={"DisplayName": "The Letters"})[
        "TopicArn"
    ]

    subscribed = sns.subscribe(TopicArn=topic_arn, Protocol="email", Endpoint=address)
    print(f"subscribed: {subscribed['SubscriptionArn']}")
    tell(endpoint, topic_arn, address)

    # what the link in the mail does when it is followed
    token = newest_mail(endpoint, topic_arn, address)["token"]
    arn = sns.confirm_subscription(TopicArn=topic_arn, Token=token)["SubscriptionArn"]
    attributes = sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
    print(f"confirmed: PendingConfirmation is {attributes['PendingConfirmation']}")

    sns.publish(TopicArn=topic_arn, Subject="First letter", Message="Dear reader, …")
    tell(endpoint, topic_arn, address)
    sns.unsubscribe(SubscriptionArn=arn)


if __name__ == "__main__":
    main()
