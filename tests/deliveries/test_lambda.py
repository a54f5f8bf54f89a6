"""Invoking functions at an endpoint that speaks Lambda's API."""

import asyncio
import errno
import json
from collections.abc import AsyncIterator

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from broker.deliveries.attempts import Result
from broker.deliveries.aws import LambdaTransport, Signer
from broker.deliveries.http import HttpTransport
from tests.support.receivers import (
    HOST,
    Answering,
    HttpRequest,
    answering,
    answering_raw,
    closed_port,
    hanging,
    http_receiver,
)
from tests.support.until import until

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:my-function:live"
REQUEST_ID = "3a9cbb0a-7a0d-4f4e-9a9c-000000000001"
SIGNER = Signer("AKIDEXAMPLE", "verysecret", "us-east-1")
PAYLOAD = '{"Records":[{"Sns":{"Message":"grüße"}}]}'.encode()

accepting = answering(202, b"", (("x-amzn-RequestId", REQUEST_ID),))


@pytest.fixture
async def http() -> AsyncIterator[HttpTransport]:
    http = HttpTransport()
    yield http
    await http.close()


def signature(request: HttpRequest, region: str, url: str) -> str:
    """The signature that AWS's own code makes for a request as it came."""
    signed = ("Content-Type", "X-Amz-Date", "X-Amz-Invocation-Type")
    headers = {name: request.header(name) for name in signed}
    again = AWSRequest("POST", url, headers=headers, data=request.body)
    again.context["timestamp"] = request.header("X-Amz-Date")
    auth = SigV4Auth(Credentials(SIGNER.access_key, SIGNER.secret_key), "lambda", region)
    to_sign = auth.string_to_sign(again, auth.canonical_request(again))
    return str(auth.signature(to_sign, again))


async def test_an_accepted_event_is_delivered_with_its_request_id(http: HttpTransport) -> None:
    async with http_receiver(accepting) as receiver:
        transport = LambdaTransport(http, receiver.url(), SIGNER)
        attempt = await transport.invoke("my-function", PAYLOAD)
    assert attempt[:2] == (Result.DELIVERED, 202)
    assert attempt.response == f'{{"lambdaRequestId":"{REQUEST_ID}"}}'


async def test_the_request_is_an_asynchronous_invoke(http: HttpTransport) -> None:
    async with http_receiver(accepting) as receiver:
        await LambdaTransport(http, receiver.url(), SIGNER).invoke("my-function", PAYLOAD)
    [request] = receiver.requests
    assert request.method == "POST"
    assert request.target == "/2015-03-31/functions/my-function/invocations"
    assert request.header("X-Amz-Invocation-Type") == "Event"
    assert request.header("Content-Type") == "application/json"
    assert request.body == PAYLOAD


async def test_a_function_can_be_named_by_its_arn_and_lies_where_that_says(
    http: HttpTransport,
) -> None:
    async with http_receiver(accepting) as receiver:
        base = receiver.url("/some/base")
        await LambdaTransport(http, base, SIGNER).invoke(ARN, PAYLOAD)
    [request] = receiver.requests
    quoted = ARN.replace(":", "%3A")
    assert request.target == f"/some/base/2015-03-31/functions/{quoted}/invocations"
    authorization = request.header("Authorization") or ""
    assert "/eu-west-1/lambda/aws4_request" in authorization


@pytest.mark.parametrize(("function", "region"), [(ARN, "eu-west-1"), ("name", "us-east-1")])
async def test_the_signature_is_that_of_what_arrives(
    http: HttpTransport, function: str, region: str
) -> None:
    async with http_receiver(accepting) as receiver:
        await LambdaTransport(http, receiver.url(), SIGNER).invoke(function, PAYLOAD)
    [request] = receiver.requests
    authorization = request.header("Authorization") or ""
    assert "Credential=AKIDEXAMPLE/" in authorization
    expected = signature(request, region, receiver.url(request.target))
    assert authorization.endswith(f"Signature={expected}")


async def test_an_emulator_of_one_function_is_asked_for_that(http: HttpTransport) -> None:
    async with http_receiver(answering(200, b'{"statusCode": 200}')) as receiver:
        transport = LambdaTransport(http, receiver.url(), SIGNER, function_name="function")
        attempt = await transport.invoke(ARN, PAYLOAD)
    assert receiver.requests[0].target == "/2015-03-31/functions/function/invocations"
    assert attempt[:3] == (Result.DELIVERED, 200, '{"statusCode": 200}')


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (403, Result.REFUSED),
        (404, Result.REFUSED),
        (413, Result.REFUSED),
        (429, Result.RETRY),
        (500, Result.RETRY),
        (502, Result.RETRY),
    ],
)
async def test_an_error_is_shown_and_tried_again_if_the_server_is_at_fault(
    http: HttpTransport, status: int, result: Result
) -> None:
    error = json.dumps({"Type": "User", "Message": "Function not found: x"}).encode()
    answer = answering(status, error, (("x-amzn-RequestId", REQUEST_ID),))
    async with http_receiver(answer) as receiver:
        attempt = await LambdaTransport(http, receiver.url(), SIGNER).invoke("x", PAYLOAD)
    assert attempt[:3] == (result, status, error.decode())


@pytest.mark.parametrize("answer", [hanging, answering_raw(b"garbage\r\n\r\n")])
async def test_no_answer_is_tried_again(http: HttpTransport, answer: Answering) -> None:
    async with http_receiver(answer) as receiver:
        transport = LambdaTransport(http, receiver.url(), SIGNER)
        attempt = await transport.invoke("x", PAYLOAD, timeout_s=0.2)
    assert attempt[:2] == (Result.RETRY, None)


async def test_nobody_at_the_port_is_tried_again(http: HttpTransport) -> None:
    transport = LambdaTransport(http, f"http://{HOST}:{closed_port()}", SIGNER)
    attempt = await transport.invoke("x", PAYLOAD)
    assert attempt[:2] == (Result.RETRY, None)
    assert f"[Errno {errno.ECONNREFUSED}]" in attempt.response


async def test_a_name_cannot_lead_elsewhere(http: HttpTransport) -> None:
    async with http_receiver(accepting) as receiver:
        await LambdaTransport(http, receiver.url(), SIGNER).invoke("../a?b#c", PAYLOAD)
    assert receiver.requests[0].target == "/2015-03-31/functions/..%2Fa%3Fb%23c/invocations"


async def test_the_secret_key_does_not_leave(http: HttpTransport) -> None:
    async with http_receiver(accepting) as receiver:
        await LambdaTransport(http, receiver.url(), SIGNER).invoke("x", PAYLOAD)
    assert "verysecret" not in str(receiver.requests)


async def test_an_attempt_can_be_cancelled(http: HttpTransport) -> None:
    async with http_receiver(hanging) as receiver:
        transport = LambdaTransport(http, receiver.url(), SIGNER)
        task = asyncio.create_task(transport.invoke("x", PAYLOAD))
        await until(lambda: receiver.requests != [])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await receiver.until_closed()
