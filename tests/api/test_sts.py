"""STS GetCallerIdentity, which Terraform and the command line ask before anything else."""

import pytest
import xmltodict

from tests.support.server import MEMORY_ONLY, Server

pytestmark = MEMORY_ONLY
NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"


@pytest.mark.parametrize(
    ("region", "partition"),
    [("us-east-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")],
)
async def test_the_caller_is_the_account_of_the_access_key(
    server: Server, region: str, partition: str
) -> None:
    response = await server.http.post(
        "/",
        headers={
            "authorization": "AWS4-HMAC-SHA256"
            f" Credential=111111111111/20260101/{region}/sts/aws4_request"
        },
        content=b"Action=GetCallerIdentity&Version=2011-06-15",
    )
    assert response.headers["content-type"] == "text/xml"
    document = xmltodict.parse(response.content)["GetCallerIdentityResponse"]
    assert document["@xmlns"] == NAMESPACE
    assert document["GetCallerIdentityResult"] == {
        "UserId": "111111111111",
        "Account": "111111111111",
        "Arn": f"arn:{partition}:iam::111111111111:root",
    }


async def test_without_credentials_the_caller_is_the_default_account(server: Server) -> None:
    response = await server.http.get("/?Action=GetCallerIdentity&Version=2011-06-15")
    assert "<Account>000000000000</Account>" in response.text


async def test_other_operations_of_sts_are_refused_in_its_namespace(server: Server) -> None:
    response = await server.http.get("/?Action=AssumeRole&Version=2011-06-15")
    assert response.status_code == 400
    document = xmltodict.parse(response.content)["ErrorResponse"]
    assert document["@xmlns"] == NAMESPACE
    assert document["Error"]["Code"] == "InvalidAction"
