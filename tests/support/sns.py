"""A client of the SNS API: botocore writes its requests and reads its answers."""

import dataclasses
from collections.abc import Awaitable, Mapping
from functools import cache
from typing import Any, Literal
from urllib.parse import urlencode

import httpx
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from botocore.session import Session

from tests.support.client import Answer, ApiError

#: codes of AWS's framework, which no service's model has (SNS reference, 1.4)
_FRAMEWORK_STATUSES = {
    "ValidationError": 400,
    "InvalidAction": 400,
    "MalformedInput": 400,
    "VerificationException": 400,  # modelled, but without a code
    "ServiceUnavailable": 503,
}


@cache
def model() -> Any:
    """AWS's published model of the service."""
    return Session().get_service_model("sns")


@cache
def statuses() -> dict[str, int]:
    """The HTTP status of each code."""
    published = {
        shape.metadata["error"]["code"]: shape.metadata["error"]["httpStatusCode"]
        for shape in model().error_shapes
        if "code" in shape.metadata.get("error", {})
    }
    return _FRAMEWORK_STATUSES | published


async def sns_refusal(call: Awaitable[object]) -> tuple[str, str]:
    """Code and text of the refusal that a call must meet; the rest must be as the code has it."""
    try:
        answer = await call
    except ApiError as error:
        assert error.status == statuses()[error.code]
        assert error.fault == ("Sender" if error.status < 500 else "Receiver")
        return error.code, error.message
    raise AssertionError(f"not refused, but answered by {answer}")


@dataclasses.dataclass(frozen=True)
class SnsClient:
    """Calls a server as somebody: ``but`` makes another who calls differently.

    Without account and region the calls are unsigned.
    """

    http: httpx.AsyncClient
    account: str | None = None
    region: str | None = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    path: str = "/"
    method: Literal["GET", "POST"] = "POST"

    def but(self, **changes: Any) -> "SnsClient":
        """The same client in other circumstances."""
        return dataclasses.replace(self, **changes)

    async def call(self, operation: str, **members: Any) -> Answer:
        """The answer of one call; raises ``ApiError``."""
        response = await self.request(operation, **members)
        return read_answer(operation, response)

    async def request(self, operation: str, **members: Any) -> httpx.Response:
        """One call as it goes over the wire, and the response as it comes."""
        request = create_serializer("query", include_validation=False).serialize_to_request(
            members, model().operation_model(operation)
        )
        return await self.send(request["body"])

    async def send(self, parameters: Mapping[str, str]) -> httpx.Response:
        """These parameters, and the response as it comes."""
        headers = dict(self.headers)
        if self.account is not None or self.region is not None:
            scope = f"{self.account or 'AKIDEXAMPLE'}/20260101/{self.region or 'us-east-1'}/sns"
            headers.setdefault(
                "authorization",
                f"AWS4-HMAC-SHA256 Credential={scope}/aws4_request, SignedHeaders=host,"
                " Signature=0",
            )
        if self.method == "GET":
            return await self.http.get(f"{self.path}?{urlencode(parameters)}", headers=headers)
        headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8", **headers}
        content = urlencode(parameters).encode()
        return await self.http.post(self.path, headers=headers, content=content)

    async def topic(self, name: str = "news", **attributes: str) -> str:
        """The ARN of a new topic; one whose name says that it is FIFO is that."""
        if name.endswith(".fifo"):
            attributes["FifoTopic"] = "true"
        created = await self.call("CreateTopic", Name=name, Attributes=attributes)
        arn: str = created["TopicArn"]
        return arn


def read_answer(operation: str, response: httpx.Response) -> Answer:
    """What a response says; raises ``ApiError``."""
    answer: Answer = create_parser("query").parse(
        {
            "status_code": response.status_code,
            "headers": response.headers,
            "body": response.content,
        },
        model().operation_model(operation).output_shape,
    )
    del answer["ResponseMetadata"]
    if response.status_code >= 300:
        error = answer["Error"]
        raise ApiError(error["Code"], None, response.status_code, error["Message"], error["Type"])
    return answer
