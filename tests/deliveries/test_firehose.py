"""Putting records into delivery streams: those of an endpoint, and files in their place."""

import asyncio
import json
import resource
from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker.deliveries.attempts import Result
from broker.deliveries.aws import FirehoseTransport, Signer
from broker.deliveries.files import FirehoseFiles
from broker.deliveries.http import HttpTransport
from tests.support.receivers import HOST, answering, closed_port, http_receiver

ARN = "arn:aws:firehose:eu-west-1:123456789012:deliverystream/my-stream"
SIGNER = Signer("AKIDEXAMPLE", "verysecret", "us-east-1")
RECORD = '{"Message":"grüße"}\n'.encode()

accepting = answering(200, b'{"RecordId":"r1","Encrypted":false}', (("x-amzn-RequestId", "q1"),))


@pytest.fixture
async def http() -> AsyncIterator[HttpTransport]:
    http = HttpTransport()
    yield http
    await http.close()


# --- an endpoint ---------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [ARN, "my-stream"])
async def test_a_record_is_put_as_it_is(http: HttpTransport, stream: str) -> None:
    async with http_receiver(accepting) as receiver:
        await FirehoseTransport(http, receiver.url(), SIGNER).put_record(stream, RECORD)
    [request] = receiver.requests
    assert (request.method, request.target) == ("POST", "/")
    assert request.header("X-Amz-Target") == "Firehose_20150804.PutRecord"
    assert request.header("Content-Type") == "application/x-amz-json-1.1"
    body = json.loads(request.body)
    assert body["DeliveryStreamName"] == "my-stream"
    assert b64decode(body["Record"]["Data"], validate=True) == RECORD


@pytest.mark.parametrize(("stream", "region"), [(ARN, "eu-west-1"), ("my-stream", "us-east-1")])
async def test_the_request_is_signed_for_the_region_of_the_stream(
    http: HttpTransport, stream: str, region: str
) -> None:
    async with http_receiver(accepting) as receiver:
        await FirehoseTransport(http, receiver.url(), SIGNER).put_record(stream, RECORD)
    authorization = receiver.requests[0].header("Authorization") or ""
    assert f"/{region}/firehose/aws4_request" in authorization


async def test_an_accepted_record_is_delivered_with_its_ids(http: HttpTransport) -> None:
    async with http_receiver(accepting) as receiver:
        transport = FirehoseTransport(http, receiver.url(), SIGNER)
        attempt = await transport.put_record(ARN, RECORD)
    assert attempt[:2] == (Result.DELIVERED, 200)
    assert attempt.response == '{"firehoseRequestId":"q1","recordId":"r1"}'


@pytest.mark.parametrize(
    ("status", "error", "result"),
    [
        (400, "ResourceNotFoundException", Result.REFUSED),
        (400, "com.amazonaws.firehose#InvalidArgumentException", Result.REFUSED),
        (400, "ThrottlingException", Result.RETRY),
        (400, "com.amazonaws.firehose#LimitExceededException:http://aws", Result.RETRY),
        (403, "AccessDeniedException", Result.REFUSED),
        (503, "ServiceUnavailableException", Result.RETRY),
    ],
)
@pytest.mark.parametrize("place", ["body", "header"])
async def test_an_error_is_tried_again_if_the_server_is_at_fault_or_busy(
    http: HttpTransport, status: int, error: str, result: Result, place: str
) -> None:
    if place == "body":
        answer = answering(status, json.dumps({"__type": error}).encode())
    else:
        answer = answering(status, b"{}", (("x-amzn-ErrorType", error),))
    async with http_receiver(answer) as receiver:
        transport = FirehoseTransport(http, receiver.url(), SIGNER)
        attempt = await transport.put_record(ARN, RECORD)
    assert attempt[:2] == (result, status)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b"\xff", b"[" * 60_000, b'"x"'])
@pytest.mark.parametrize(("status", "result"), [(200, Result.DELIVERED), (400, Result.REFUSED)])
async def test_the_status_counts_whatever_the_body_is(
    http: HttpTransport, body: bytes, status: int, result: Result
) -> None:
    async with http_receiver(answering(status, body)) as receiver:
        transport = FirehoseTransport(http, receiver.url(), SIGNER)
        attempt = await transport.put_record(ARN, RECORD)
    assert attempt[:2] == (result, status)


async def test_nobody_at_the_port_is_tried_again(http: HttpTransport) -> None:
    transport = FirehoseTransport(http, f"http://{HOST}:{closed_port()}", SIGNER)
    assert (await transport.put_record(ARN, RECORD))[:2] == (Result.RETRY, None)


# --- files ---------------------------------------------------------------------------------------


async def test_records_are_appended_to_the_file_of_their_stream(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there yet"
    files = FirehoseFiles(folder)
    attempts = [
        await files.put_record(ARN, RECORD),
        await files.put_record("other", b"raw"),
        await FirehoseFiles(folder).put_record("my-stream", b"second\n"),
    ]
    assert {each.result for each in attempts} == {Result.DELIVERED}
    assert (folder / "my-stream.ndjson").read_bytes() == RECORD + b"second\n"
    assert (folder / "other.ndjson").read_bytes() == b"raw\n"
    assert len(list(folder.iterdir())) == 2


async def test_records_at_once_are_each_a_line(tmp_path: Path) -> None:
    files = FirehoseFiles(tmp_path)
    records = [str(number).encode() * 1000 for number in range(100)]
    await asyncio.gather(*(files.put_record(ARN, each) for each in records))
    assert sorted((tmp_path / "my-stream.ndjson").read_bytes().splitlines()) == sorted(records)


@pytest.mark.parametrize(
    "name", ["", "../up", "a/b", "a\\b", "/etc/passwd", "a\n", "a\x00", "ü", "a" * 65, "a:b"]
)
@pytest.mark.parametrize("prefix", ["", ARN.removesuffix("my-stream")])
def test_a_name_that_is_none_is_refused(tmp_path: Path, prefix: str, name: str) -> None:
    files = FirehoseFiles(tmp_path / "records")
    attempt = asyncio.run(files.put_record(prefix + name, RECORD))
    assert attempt.result is Result.REFUSED
    assert list(tmp_path.rglob("*")) == []


async def test_dots_stay_in_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "records"
    for name in (".", ".."):
        await FirehoseFiles(folder).put_record(name, RECORD)
    assert sorted(each.name for each in folder.iterdir()) == ["...ndjson", "..ndjson"]


async def test_what_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "my-stream.ndjson").mkdir()
    attempt = await FirehoseFiles(tmp_path).put_record(ARN, RECORD)
    assert attempt[:2] == (Result.RETRY, None)
    assert attempt.response == "my-stream.ndjson cannot be written: Is a directory"


async def test_a_folder_that_cannot_be_made_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    attempt = await FirehoseFiles(tmp_path / "file").put_record(ARN, RECORD)
    assert attempt.result is Result.RETRY


async def test_a_record_that_does_not_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    """The limit on the size of files stands for a disk that becomes full."""
    path = tmp_path / "my-stream.ndjson"
    files = FirehoseFiles(tmp_path)
    await files.put_record(ARN, b"first")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limit[1]))
    try:
        torn = await files.put_record(ARN, b"second")
        full = await files.put_record(ARN, b"")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert torn[:2] == (Result.RETRY, None)
    assert full.result is Result.DELIVERED
    assert path.read_bytes() == b"first\n\n"
