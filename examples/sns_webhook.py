"""An HTTP endpoint that confirms its subscription, and believes nothing that is not signed.

    make run                                (in another terminal)
    .venv/bin/python examples/sns_webhook.py

It listens on a free port, subscribes itself, publishes twice and prints what arrives; then it sends
itself a forged notification, which it refuses.  The endpoint is http://127.0.0.1:4566 unless
AWS_ENDPOINT_URL or --endpoint says otherwise; any credentials will do.

Links in messages begin with the URL that the publisher called.  Where publishers and receivers
call the server by different names, start it with --public-url.
"""

import argparse
import base64
import json
import os
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from threading import Event, Thread
from typing import Any

import boto3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.x509 import load_pem_x509_certificate

TIMEOUT_S = 30
BYTES_MAX = 2 * 1024 * 1024
HASHES = {"1": SHA1(), "2": SHA256()}  # noqa: S303 - SHA-1 is what version 1 means
SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": (
        *("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    ),
}


class Refused(Exception):
    """A message that is not to be believed; the text says why."""


class Inbox:
    """Takes what arrives from one topic; notifications are put into ``messages``."""

    def __init__(self, endpoint: str, topic_arn: str) -> None:
        """``endpoint``: whose links are followed, and no others."""
        self.confirmed = Event()
        self.messages: Queue[dict[str, str]] = Queue()
        self._base = endpoint.rstrip("/") + "/"
        self._topic_arn = topic_arn
        self._keys: dict[str, rsa.RSAPublicKey] = {}

    def take(self, body: bytes) -> None:
        """Take a message from the network; raises ``Refused``."""
        try:
            message = json.loads(body)
            self._verify(message)
            if message["TopicArn"] != self._topic_arn:
                raise Refused("it is from another topic")
            if message["Type"] == "SubscriptionConfirmation":
                self._get(message["SubscribeURL"])
                print("confirmed the subscription")
                self.confirmed.set()
            else:
                self.messages.put(message)
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            raise Refused(f"it cannot be read: {error!r}") from error

    def _verify(self, message: dict[str, str]) -> None:
        text = "".join(
            f"{name}\n{message[name]}\n"
            for name in SIGNED[message["Type"]]
            if name in message or name != "Subject"
        )
        key = self._key(message["SigningCertURL"])
        signature = base64.b64decode(message["Signature"])
        hash_ = HASHES[message["SignatureVersion"]]
        try:
            key.verify(signature, text.encode(), padding.PKCS1v15(), hash_)
        except InvalidSignature:
            raise Refused("the signature is not that of the message") from None

    def _key(self, url: str) -> rsa.RSAPublicKey:
        """The key that signs; fetched once, for its URL names one certificate for good."""
        if url not in self._keys:
            key = load_pem_x509_certificate(self._get(url)).public_key()
            if not isinstance(key, rsa.RSAPublicKey):
                raise Refused("the certificate is not for an RSA key")
            self._keys[url] = key
        return self._keys[url]

    def _get(self, url: str) -> bytes:
        """What stands at a URL.  Anybody can write one into a message, so not at any."""
        if not url.startswith(self._base):
            raise Refused(f"it links to {url}, not to {self._base}")
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - see above
            content: bytes = answer.read()
        return content


def listen(inbox: Inbox) -> ThreadingHTTPServer:
    """Serve an inbox on a free port, in a thread."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            status = 413
            if length <= BYTES_MAX:
                try:
                    inbox.take(self.rfile.read(length))
                    status = 200
                except Refused as refused:
                    print(f"refused a message: {refused}")
                    status = 403  # which is not tried again; a 500 would be
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Print nothing about requests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    return server


def forge(url: str, message: dict[str, str]) -> int:
    """Send a notification with another text than was signed; the status of the answer."""
    body = json.dumps({**message, "Message": "send me your money"}).encode()
    try:
        with urllib.request.urlopen(url, body, timeout=TIMEOUT_S) as answer:  # noqa: S310 - our own
            status: int = answer.status
    except urllib.error.HTTPError as error:
        status = error.code
        error.close()
    return status


def main() -> None:
    """Run it all once."""
    parser = argparse.ArgumentParser(description="An HTTP endpoint of a topic.")
    parser.add_argument(
        "--endpoint", default=os.environ.get("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    )
    endpoint = parser.parse_args().endpoint
    sns = boto3.client(
        "sns",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    topic_arn = sns.create_topic(Name="news")["TopicArn"]
    # SHA-256, which a topic has to ask for: version 1, with SHA-1, is the default
    sns.set_topic_attributes(
        TopicArn=topic_arn, AttributeName="SignatureVersion", AttributeValue="2"
    )
    inbox = Inbox(endpoint, topic_arn)
    with listen(inbox) as server:
        url = f"http://127.0.0.1:{server.server_port}/news"
        arn = sns.subscribe(
            TopicArn=topic_arn, Protocol="http", Endpoint=url, ReturnSubscriptionArn=True
        )["SubscriptionArn"]
        if not inbox.confirmed.wait(TIMEOUT_S):
            raise SystemExit("the endpoint was not asked to confirm its subscription")
        sns.publish(TopicArn=topic_arn, Subject="Greeting", Message="hello")
        message = inbox.messages.get(timeout=TIMEOUT_S)
        print(f"got {message['Subject']!r}: {message['Message']}")
        sns.publish(TopicArn=topic_arn, Message="žluťoučký kůň")
        message = inbox.messages.get(timeout=TIMEOUT_S)
        print(f"got {message['Message']!r} without a subject")
        print(f"answered the forgery with {forge(url, message)}")
        sns.unsubscribe(SubscriptionArn=arn)
        server.shutdown()


if __name__ == "__main__":
    main()
