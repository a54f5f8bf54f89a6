"""Deliveries to Lambda functions and Firehose streams, through the APIs of AWS.

The endpoint may be AWS's or that of anything that speaks the same API.  Both transports sign
(SigV4) and send through an ``HttpTransport``, whose limits hold.
"""

import json
from base64 import b64encode
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from urllib.parse import quote

from broker.deliveries.attempts import Attempt, Result, Stopwatch, classify
from broker.deliveries.http import Answer, HttpTransport, NoAnswer

#: how long AWS's own clients wait for an answer
TIMEOUT_S = 60.0

#: Firehose also says so with status 400
_THROTTLED = frozenset({"ThrottlingException", "LimitExceededException"})


class Signer(NamedTuple):
    """Who calls, and from which region if a resource's name does not say."""

    access_key: str
    secret_key: str
    region: str

    def sign(
        self, service: str, resource: str, url: str, headers: dict[str, str], body: bytes
    ) -> list[tuple[str, str]]:
        """The headers with those that sign a POST.

        ``resource`` is an ARN, whose region the signature then has, or a name.
        """
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        request = AWSRequest("POST", url, headers=headers, data=body)
        credentials = Credentials(self.access_key, self.secret_key)
        SigV4Auth(credentials, service, self._region_of(resource)).add_auth(request)
        return list(request.headers.items())

    def _region_of(self, resource: str) -> str:
        parts = resource.split(":")
        return parts[3] if parts[0] == "arn" and len(parts) > 5 and parts[3] else self.region


class LambdaTransport:
    """Invokes functions asynchronously (SNS reference, 5.6)."""

    def __init__(
        self,
        http: HttpTransport,
        endpoint_url: str,
        signer: Signer,
        *,
        function_name: str | None = None,
    ) -> None:
        """Invoke at ``endpoint_url``.

        With ``function_name`` every function is invoked by that name instead of its own: the
        runtime interface emulator has one function, called ``function``.  (It runs the function
        before it answers, which is within the time limit or counts as no answer.)
        """
        self._http = http
        self._functions_url = f"{endpoint_url.rstrip('/')}/2015-03-31/functions"
        self._signer = signer
        self._function_name = function_name

    async def invoke(
        self, function: str, payload: bytes, *, timeout_s: float = TIMEOUT_S
    ) -> Attempt:
        """Make one attempt to invoke a function, named by its ARN or its name.

        Accepted is delivered: what the function then does is Lambda's to repeat.
        """
        name = quote(self._function_name or function, safe="")
        url = f"{self._functions_url}/{name}/invocations"
        headers = {"Content-Type": "application/json", "X-Amz-Invocation-Type": "Event"}
        signed = self._signer.sign("lambda", function, url, headers, payload)
        return await _attempt(
            self._http.exchange(url, signed, payload, timeout_s=timeout_s),
            lambda answer: {"lambdaRequestId": answer.headers.get("x-amzn-requestid")},
        )


class FirehoseTransport:
    """Puts records into delivery streams (SNS reference, 5.7)."""

    def __init__(self, http: HttpTransport, endpoint_url: str, signer: Signer) -> None:
        self._http = http
        self._url = f"{endpoint_url.rstrip('/')}/"
        self._signer = signer

    async def put_record(
        self, stream: str, record: bytes, *, timeout_s: float = TIMEOUT_S
    ) -> Attempt:
        """Make one attempt to put a record into a stream, named by its ARN or its name."""
        content = {
            "DeliveryStreamName": stream_name(stream),
            "Record": {"Data": b64encode(record).decode("ascii")},
        }
        body = json.dumps(content).encode()
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": "Firehose_20150804.PutRecord",
        }
        signed = self._signer.sign("firehose", stream, self._url, headers, body)
        return await _attempt(
            self._http.exchange(self._url, signed, body, timeout_s=timeout_s),
            lambda answer: {
                "firehoseRequestId": answer.headers.get("x-amzn-requestid"),
                "recordId": _members(answer).get("RecordId"),
            },
        )


def stream_name(stream: str) -> str:
    """The name of a delivery stream of which that or the ARN is given."""
    return stream.partition(":deliverystream/")[2] or stream


async def _attempt(exchange: Awaitable[Answer], ids: Callable[[Answer], dict[str, Any]]) -> Attempt:
    """Wait for the answer; if it is a success, show the ids in it (SNS reference, 5.12)."""
    watch = Stopwatch()
    try:
        answer = await exchange
    except NoAnswer as none:
        return watch.attempt(none.result, None, str(none))
    result = classify(answer.status_code)
    if result is Result.DELIVERED:
        known = {name: value for name, value in ids(answer).items() if isinstance(value, str)}
        text = json.dumps(known, separators=(",", ":")) if known else answer.text
        return watch.attempt(result, answer.status_code, text)
    if answer.status_code == 400 and _error_type(answer) in _THROTTLED:
        result = Result.RETRY
    return watch.attempt(result, answer.status_code, answer.text)


def _error_type(answer: Answer) -> str:
    """The name of the error that an answer in JSON reports."""
    name = answer.headers.get("x-amzn-errortype") or str(_members(answer).get("__type", ""))
    return name.partition(":")[0].rpartition("#")[2]


def _members(answer: Answer) -> dict[str, Any]:
    """The members of an answer in JSON; none if it is something else."""
    try:
        members = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return members if isinstance(members, dict) else {}
