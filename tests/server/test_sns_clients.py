"""Real clients of SNS on a real port: boto3, the AWS CLI, and what Node has."""

import json
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.support.process import Server, environment

ACCOUNT = "000000000000"
OTHER_ACCOUNT = "111111111111"
REGION = "us-east-1"
UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
NUMBER = "+4915112345678"
ADDRESS = "reader@example.com"
TIMEOUT_S = 60

Client = Callable[..., Any]
Sns = Any  # boto3 makes its clients at run time


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests of this file; they have topics of their own."""
    with Server(tmp_path_factory.mktemp("server"), "--store", "memory") as started:
        yield started
        assert started.stderr == ""


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Client]:
    """Make boto3 clients: the service, and the account if it is not the usual one."""
    with ExitStack() as clients:

        def make(service: str, account: str = "test") -> Any:
            made = boto3.client(
                service,
                endpoint_url=server.endpoint,
                region_name=REGION,
                aws_access_key_id=account,
                aws_secret_access_key="test",
                config=Config(retries={"total_max_attempts": 1}),
            )
            return clients.enter_context(closing(made))

        yield make


@pytest.fixture(scope="module")
def sns(client: Client) -> Sns:
    return client("sns")


def admin(server: Server, path: str, **sent: Any) -> Any:
    """What one of the server's own paths answers; what is given is posted."""
    request = urllib.request.Request(  # noqa: S310 - the server under test
        server.endpoint + path, json.dumps(sent).encode() if sent else None
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
        content = answer.read()
    return json.loads(content) if content else None


def topic_arn(name: str) -> str:
    return f"arn:aws:sns:{REGION}:{ACCOUNT}:{name}"


def email_token(server: Server, arn: str) -> str:
    """The token in the newest mail that asks to confirm a subscription to a topic."""
    newest = admin(server, f"/_headrace/outbox?topicArn={arn}&order=newest&limit=1")
    token: str = newest["deliveries"][0]["token"]
    return token


# --- boto3: all operations ----------------------------------------------------------------------


class Calls:
    """Calls a client and notes what is called; all must be answered with 200."""

    def __init__(self, sns: Sns) -> None:
        self._sns = sns
        self.made: set[str] = set()

    def __call__(self, operation: str, **members: Any) -> Any:
        """The answer without its metadata."""
        method = next(
            each for each, name in self._sns.meta.method_to_api_mapping.items() if name == operation
        )
        answer = getattr(self._sns, method)(**members)
        metadata = answer.pop("ResponseMetadata")
        assert metadata["HTTPStatusCode"] == 200
        assert metadata["RequestId"] == metadata["HTTPHeaders"]["x-amzn-requestid"]
        self.made.add(operation)
        return answer


def call_topic_operations(call: Calls, server: Server) -> None:
    arn = call("CreateTopic", Name="every", Tags=[{"Key": "team", "Value": "a"}])["TopicArn"]
    assert arn == topic_arn("every")
    assert {"TopicArn": arn} in call("ListTopics")["Topics"]
    assert (
        call(
            "SetTopicAttributes", TopicArn=arn, AttributeName="DisplayName", AttributeValue="Every"
        )
        == {}
    )
    attributes = call("GetTopicAttributes", TopicArn=arn)["Attributes"]
    assert (attributes["DisplayName"], attributes["Owner"]) == ("Every", ACCOUNT)

    assert call("TagResource", ResourceArn=arn, Tags=[{"Key": "stage", "Value": "test"}]) == {}
    assert call("UntagResource", ResourceArn=arn, TagKeys=["team"]) == {}
    assert call("ListTagsForResource", ResourceArn=arn) == {
        "Tags": [{"Key": "stage", "Value": "test"}]
    }

    permission = {"TopicArn": arn, "Label": "guest"}
    assert (
        call("AddPermission", **permission, AWSAccountId=[OTHER_ACCOUNT], ActionName=["Publish"])
        == {}
    )
    assert OTHER_ACCOUNT in call("GetTopicAttributes", TopicArn=arn)["Attributes"]["Policy"]
    assert call("RemovePermission", **permission) == {}
    assert OTHER_ACCOUNT not in call("GetTopicAttributes", TopicArn=arn)["Attributes"]["Policy"]

    document = json.dumps(
        {
            "Name": "cards",
            "Version": "2021-06-01",
            "Statement": [
                {
                    "Sid": "inbound",
                    "DataDirection": "Inbound",
                    "Principal": ["*"],
                    "DataIdentifier": [
                        "arn:aws:dataprotection::aws:data-identifier/CreditCardNumber"
                    ],
                    "Operation": {"Deny": {}},
                }
            ],
        }
    )
    assert call("PutDataProtectionPolicy", ResourceArn=arn, DataProtectionPolicy=document) == {}
    assert call("GetDataProtectionPolicy", ResourceArn=arn) == {"DataProtectionPolicy": document}

    assert call("DeleteTopic", TopicArn=arn) == {}
    assert {"TopicArn": arn} not in call("ListTopics")["Topics"]


def call_subscription_operations(call: Calls, server: Server) -> None:
    arn = call("CreateTopic", Name="subscribed")["TopicArn"]
    asked = call("Subscribe", TopicArn=arn, Protocol="email", Endpoint=ADDRESS)
    assert asked == {"SubscriptionArn": "pending confirmation"}
    subscription_arn = call("ConfirmSubscription", TopicArn=arn, Token=email_token(server, arn))[
        "SubscriptionArn"
    ]
    assert re.fullmatch(f"{arn}:{UUID}", subscription_arn)
    listed = {
        "SubscriptionArn": subscription_arn,
        "Owner": ACCOUNT,
        "Protocol": "email",
        "Endpoint": ADDRESS,
        "TopicArn": arn,
    }
    assert call("ListSubscriptionsByTopic", TopicArn=arn) == {"Subscriptions": [listed]}
    assert listed in call("ListSubscriptions")["Subscriptions"]
    assert (
        call(
            "SetSubscriptionAttributes",
            SubscriptionArn=subscription_arn,
            AttributeName="FilterPolicy",
            AttributeValue='{"kind": ["a"]}',
        )
        == {}
    )
    attributes = call("GetSubscriptionAttributes", SubscriptionArn=subscription_arn)["Attributes"]
    assert attributes["FilterPolicy"] == '{"kind": ["a"]}'
    assert attributes["PendingConfirmation"] == "false"

    published = call("Publish", TopicArn=arn, Message="one")
    assert re.fullmatch(UUID, published["MessageId"])
    batch = call(
        "PublishBatch",
        TopicArn=arn,
        PublishBatchRequestEntries=[{"Id": "a", "Message": "two"}, {"Id": "b", "Message": "three"}],
    )
    assert [entry["Id"] for entry in batch["Successful"]] == ["a", "b"]
    assert batch["Failed"] == []

    assert call("Unsubscribe", SubscriptionArn=subscription_arn) == {}
    assert call("ListSubscriptionsByTopic", TopicArn=arn) == {"Subscriptions": []}


def call_push_operations(call: Calls, server: Server) -> None:
    application_arn = call(
        "CreatePlatformApplication",
        Name="every",
        Platform="GCM",
        Attributes={"PlatformCredential": "secret"},
    )["PlatformApplicationArn"]
    application = {"PlatformApplicationArn": application_arn}
    assert application_arn == f"arn:aws:sns:{REGION}:{ACCOUNT}:app/GCM/every"
    changed = {"SuccessFeedbackSampleRate": "50"}
    assert call("SetPlatformApplicationAttributes", **application, Attributes=changed) == {}
    attributes = call("GetPlatformApplicationAttributes", **application)["Attributes"]
    assert attributes["SuccessFeedbackSampleRate"] == "50"
    assert "PlatformCredential" not in attributes
    [shown] = call("ListPlatformApplications")["PlatformApplications"]
    assert shown["PlatformApplicationArn"] == application_arn

    endpoint_arn = call("CreatePlatformEndpoint", **application, Token="token")["EndpointArn"]
    changed = {"CustomUserData": "mine"}
    assert call("SetEndpointAttributes", EndpointArn=endpoint_arn, Attributes=changed) == {}
    attributes = {"Enabled": "true", "Token": "token", "CustomUserData": "mine"}
    assert call("GetEndpointAttributes", EndpointArn=endpoint_arn) == {"Attributes": attributes}
    assert call("ListEndpointsByPlatformApplication", **application) == {
        "Endpoints": [{"EndpointArn": endpoint_arn, "Attributes": attributes}]
    }
    assert call("DeleteEndpoint", EndpointArn=endpoint_arn) == {}
    assert call("DeletePlatformApplication", **application) == {}
    assert call("ListPlatformApplications") == {"PlatformApplications": []}


def call_sms_operations(call: Calls, server: Server) -> None:
    assert call("SetSMSAttributes", attributes={"DefaultSMSType": "Transactional"}) == {}
    assert call("GetSMSAttributes", attributes=["DefaultSMSType"]) == {
        "attributes": {"DefaultSMSType": "Transactional"}
    }

    admin(server, "/_aws/sns/phone-opt-outs", phoneNumber=NUMBER)
    assert call("CheckIfPhoneNumberIsOptedOut", phoneNumber=NUMBER) == {"isOptedOut": True}
    assert call("ListPhoneNumbersOptedOut") == {"phoneNumbers": [NUMBER]}
    assert call("OptInPhoneNumber", phoneNumber=NUMBER) == {}
    assert call("CheckIfPhoneNumberIsOptedOut", phoneNumber=NUMBER) == {"isOptedOut": False}

    assert call("GetSMSSandboxAccountStatus") == {"IsInSandbox": False}
    assert call("CreateSMSSandboxPhoneNumber", PhoneNumber=NUMBER) == {}
    [password] = admin(server, "/_headrace/sns/sms-sandbox")["oneTimePasswords"].values()
    assert call("VerifySMSSandboxPhoneNumber", PhoneNumber=NUMBER, OneTimePassword=password) == {}
    assert call("ListSMSSandboxPhoneNumbers") == {
        "PhoneNumbers": [{"PhoneNumber": NUMBER, "Status": "Verified"}]
    }
    assert call("DeleteSMSSandboxPhoneNumber", PhoneNumber=NUMBER) == {}
    assert call("ListSMSSandboxPhoneNumbers") == {"PhoneNumbers": []}

    admin(server, "/_headrace/sns/origination-numbers", phoneNumber="+12065550100")
    [number] = call("ListOriginationNumbers")["PhoneNumbers"]
    assert number["PhoneNumber"] == "+12065550100"
    assert number["NumberCapabilities"] == ["SMS"]
    assert number["CreatedAt"].tzinfo is not None


def test_every_operation_is_answered_so_that_boto3_reads_it(server: Server, sns: Sns) -> None:
    call = Calls(sns)

    call_topic_operations(call, server)
    call_subscription_operations(call, server)
    call_push_operations(call, server)
    call_sms_operations(call, server)

    assert call.made == set(sns.meta.service_model.operation_names)
    assert len(call.made) == 42


# --- boto3: pages -------------------------------------------------------------------------------


def many_topics(sns: Sns) -> dict[str, Any]:
    for number in range(101):
        sns.create_topic(Name=f"t{number}")
    return {}


def many_subscriptions(sns: Sns) -> dict[str, Any]:
    arn = sns.create_topic(Name="popular")["TopicArn"]
    for number in range(101):
        sns.subscribe(TopicArn=arn, Protocol="sms", Endpoint=f"+49151123{number:05}")
    return {"TopicArn": arn}


def many_subscriptions_of_an_account(sns: Sns) -> dict[str, Any]:
    many_subscriptions(sns)
    return {}


def new_application(sns: Sns, number: int = 0) -> str:
    created = sns.create_platform_application(
        Name=f"a{number}", Platform="GCM", Attributes={"PlatformCredential": "secret"}
    )
    arn: str = created["PlatformApplicationArn"]
    return arn


def many_applications(sns: Sns) -> dict[str, Any]:
    for number in range(101):
        new_application(sns, number)
    return {}


def many_endpoints(sns: Sns) -> dict[str, Any]:
    arn = new_application(sns)
    for number in range(101):
        sns.create_platform_endpoint(PlatformApplicationArn=arn, Token=f"token{number}")
    return {"PlatformApplicationArn": arn}


@pytest.mark.parametrize(
    ("account", "operation", "prepare", "member"),
    [
        ("600000000001", "list_topics", many_topics, "Topics"),
        ("600000000002", "list_subscriptions", many_subscriptions_of_an_account, "Subscriptions"),
        ("600000000003", "list_subscriptions_by_topic", many_subscriptions, "Subscriptions"),
        ("600000000004", "list_platform_applications", many_applications, "PlatformApplications"),
        ("600000000005", "list_endpoints_by_platform_application", many_endpoints, "Endpoints"),
    ],
)
def test_a_paginator_of_boto3_finds_all_in_pages_of_a_hundred(
    client: Client,
    account: str,
    operation: str,
    prepare: Callable[[Sns], dict[str, Any]],
    member: str,
) -> None:
    sns = client("sns", account)
    members = prepare(sns)

    pages = list(sns.get_paginator(operation).paginate(**members))

    assert [len(page[member]) for page in pages] == [100, 1]
    found = [json.dumps(each, sort_keys=True) for page in pages for each in page[member]]
    assert len(set(found)) == 101


def test_the_numbers_of_the_sandbox_come_in_pages_of_the_size_that_is_asked_for(
    client: Client,
) -> None:
    sns = client("sns", "222222222222")
    numbers = [f"+4915112340{number:03}" for number in range(5)]
    for number in numbers:
        sns.create_sms_sandbox_phone_number(PhoneNumber=number)

    pages = list(
        sns.get_paginator("list_sms_sandbox_phone_numbers").paginate(
            PaginationConfig={"PageSize": 2}
        )
    )

    assert [len(page["PhoneNumbers"]) for page in pages] == [2, 2, 1]
    assert sorted(each["PhoneNumber"] for page in pages for each in page["PhoneNumbers"]) == numbers


def test_numbers_that_opted_out_come_in_pages_too(client: Client, server: Server) -> None:
    account = "333333333333"
    for number in range(101):
        admin(
            server,
            f"/_aws/sns/phone-opt-outs?accountId={account}",
            phoneNumber=f"+49151123{number:05}",
        )

    pages = list(client("sns", account).get_paginator("list_phone_numbers_opted_out").paginate())

    assert [len(page["phoneNumbers"]) for page in pages] == [100, 1]


def test_origination_numbers_come_in_pages_too(client: Client, server: Server) -> None:
    account = "444444444444"
    for number in range(3):
        admin(
            server,
            f"/_headrace/sns/origination-numbers?account={account}",
            phoneNumber=f"+1206555010{number}",
        )

    pages = list(
        client("sns", account)
        .get_paginator("list_origination_numbers")
        .paginate(PaginationConfig={"PageSize": 2})
    )

    assert [len(page["PhoneNumbers"]) for page in pages] == [2, 1]


# --- boto3: errors ------------------------------------------------------------------------------


def new_topic(sns: Sns, name: str = "errors", **attributes: str) -> str:
    arn: str = sns.create_topic(Name=name, Attributes=attributes)["TopicArn"]
    return arn


def publish_batch(sns: Sns, *entries: dict[str, Any]) -> None:
    sns.publish_batch(TopicArn=new_topic(sns), PublishBatchRequestEntries=list(entries))


def publish_with_attribute(sns: Sns, **attribute: Any) -> None:
    sns.publish(TopicArn=new_topic(sns), Message="m", MessageAttributes={"a": attribute})


def publish_to_a_disabled_endpoint(sns: Sns) -> None:
    arn = sns.create_platform_endpoint(
        PlatformApplicationArn=new_application(sns),
        Token="disabled",
        Attributes={"Enabled": "false"},
    )["EndpointArn"]
    sns.publish(TargetArn=arn, Message="m")


def publish_to_a_disabled_application(sns: Sns) -> None:
    application_arn = new_application(sns, 1)
    arn = sns.create_platform_endpoint(PlatformApplicationArn=application_arn, Token="t")[
        "EndpointArn"
    ]
    sns.set_platform_application_attributes(
        PlatformApplicationArn=application_arn, Attributes={"Enabled": "false"}
    )
    sns.publish(TargetArn=arn, Message="m")


def delete_an_archived_topic(sns: Sns) -> None:
    arn = new_topic(
        sns, "kept.fifo", FifoTopic="true", ArchivePolicy='{"MessageRetentionPeriod":"1"}'
    )
    sns.delete_topic(TopicArn=arn)


def exceed_the_tags(sns: Sns) -> None:
    tags = [{"Key": f"k{number}", "Value": "v"} for number in range(51)]
    sns.tag_resource(ResourceArn=new_topic(sns), Tags=tags)


def exceed_the_subscriptions(sns: Sns) -> None:
    arn = new_topic(sns, "few.fifo", FifoTopic="true")
    for number in range(101):
        sns.subscribe(
            TopicArn=arn, Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:{ACCOUNT}:q{number}"
        )


def verify_with_another_password(sns: Sns) -> None:
    sns.create_sms_sandbox_phone_number(PhoneNumber=NUMBER)
    sns.verify_sms_sandbox_phone_number(PhoneNumber=NUMBER, OneTimePassword="00000000")


ERRORS: dict[str, tuple[Callable[[Sns], Any], str]] = {
    "NotFoundException": (
        lambda sns: sns.get_topic_attributes(TopicArn=topic_arn("missing")),
        "Topic does not exist",
    ),
    "InvalidParameterException": (
        lambda sns: sns.create_topic(Name="no good"),
        "Invalid parameter: Topic Name",
    ),
    "InvalidParameterValueException": (
        lambda sns: publish_with_attribute(sns, DataType="Text", StringValue="v"),
        "The message attribute 'a' has an invalid message attribute type, the set of supported"
        " type prefixes is Binary, Number, and String.",
    ),
    "ResourceNotFoundException": (
        lambda sns: sns.list_tags_for_resource(ResourceArn=topic_arn("missing")),
        "Resource does not exist",
    ),
    "EmptyBatchRequestException": (
        publish_batch,
        "The batch request doesn't contain any entries.",
    ),
    "TooManyEntriesInBatchRequestException": (
        lambda sns: publish_batch(*[sns, *({"Id": str(n), "Message": "m"} for n in range(11))]),
        "The batch request contains more entries than permissible.",
    ),
    "BatchEntryIdsNotDistinctException": (
        lambda sns: publish_batch(*[sns, *[{"Id": "a", "Message": "m"}] * 2]),
        "Two or more batch entries in the request have the same Id.",
    ),
    "InvalidBatchEntryIdException": (
        lambda sns: publish_batch(sns, {"Id": "a.b", "Message": "m"}),
        "The Id of a batch entry in the batch request contains an impermissible character: a.b",
    ),
    "BatchRequestTooLongException": (
        lambda sns: publish_batch(sns, *({"Id": n, "Message": "m" * 131_073} for n in "ab")),
        "The length of all the messages put together is more than the limit.",
    ),
    "EndpointDisabledException": (publish_to_a_disabled_endpoint, "Endpoint is disabled"),
    "PlatformApplicationDisabledException": (publish_to_a_disabled_application, ""),
    "InvalidStateException": (
        delete_an_archived_topic,
        "Invalid state: Cannot delete a topic with an ArchivePolicy",
    ),
    "TagLimitExceededException": (
        exceed_the_tags,
        "Could not complete request: tag quota of per resource exceeded",
    ),
    "SubscriptionLimitExceededException": (exceed_the_subscriptions, ""),
    "VerificationException": (verify_with_another_password, ""),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_raised_as_the_exception_that_boto3_has_for_it(
    client: Client, sns: Sns, name: str
) -> None:
    provoke, text = ERRORS[name]
    with pytest.raises(getattr(sns.exceptions, name)) as refused:
        provoke(client("sns"))
    error = refused.value.response["Error"]
    assert error["Type"] == "Sender"
    assert error["Message"].startswith(text)


def test_a_stranger_is_told_by_boto3_that_it_is_not_authorized(client: Client, sns: Sns) -> None:
    arn = sns.subscribe(TopicArn=new_topic(sns, "private"), Protocol="sms", Endpoint=NUMBER)[
        "SubscriptionArn"
    ]
    with pytest.raises(sns.exceptions.AuthorizationErrorException) as refused:
        client("sns", OTHER_ACCOUNT).get_subscription_attributes(SubscriptionArn=arn)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_what_aws_has_no_exception_for_is_a_plain_client_error(sns: Sns) -> None:
    with pytest.raises(ClientError) as refused:
        sns.create_platform_application(Name="app", Platform="ADM", Attributes={})
    assert type(refused.value) is ClientError
    assert refused.value.response["Error"]["Code"] == "ValidationError"


def test_the_resources_of_boto3_publish_and_subscribe(server: Server) -> None:
    """boto3.resource, which follows ARNs and lists by itself."""
    resource = boto3.resource(
        "sns",
        endpoint_url=server.endpoint,
        region_name=REGION,
        aws_access_key_id="555555555555",
        aws_secret_access_key="test",
    )
    with closing(resource.meta.client):
        topic = resource.create_topic(Name="resourceful")
        subscription = topic.subscribe(Protocol="sms", Endpoint=NUMBER)
        assert topic.attributes["DisplayName"] == ""
        assert subscription.attributes["Endpoint"] == NUMBER
        assert re.fullmatch(UUID, topic.publish(Message="m")["MessageId"])
        assert [each.arn for each in resource.topics.all()] == [topic.arn]
        assert [each.arn for each in topic.subscriptions.all()] == [subscription.arn]
        subscription.delete()
        topic.delete()
        assert list(resource.topics.all()) == []


# --- the AWS CLI --------------------------------------------------------------------------------


class Cli:
    """``aws``, as a user has it."""

    def __init__(self, server: Server) -> None:
        self._endpoint = server.endpoint
        self._environment = environment(
            {
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_DEFAULT_REGION": REGION,
                "AWS_PAGER": "",
                "AWS_DEFAULT_OUTPUT": "json",
                "AWS_MAX_ATTEMPTS": "1",
            }
        )

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run it to its end."""
        return subprocess.run(
            [
                str(Path(sys.executable).with_name("aws")),
                "--endpoint-url",
                self._endpoint,
                *arguments,
            ],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )

    def __call__(self, *arguments: str) -> Any:
        """What it answers; its end must be a good one."""
        ended = self.run(*arguments)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout or "null")


@pytest.fixture
def aws(server: Server) -> Cli:
    return Cli(server)


def test_what_the_cli_publishes_with_attributes_arrives_with_them(aws: Cli) -> None:
    arn = aws("sns", "create-topic", "--name", "cli", "--tags", "Key=team,Value=a")["TopicArn"]
    url = aws("sqs", "create-queue", "--queue-name", "cli")["QueueUrl"]
    queue_arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:cli"
    subscription_arn = aws(
        *("sns", "subscribe", "--topic-arn", arn, "--protocol", "sqs"),
        *("--notification-endpoint", queue_arn),
        *(
            "--attributes",
            '{"RawMessageDelivery": "true", "FilterPolicy": "{\\"lang\\":[\\"en\\"]}"}',
        ),
    )["SubscriptionArn"]

    for language in ("en", "de"):
        aws(
            *("sns", "publish", "--topic-arn", arn, "--message", f"hello in {language}"),
            *("--subject", "not in a raw message"),
            "--message-attributes",
            json.dumps(
                {
                    "lang": {"DataType": "String", "StringValue": language},
                    "count": {"DataType": "Number", "StringValue": "1"},
                    "bytes": {"DataType": "Binary", "BinaryValue": "raw"},
                }
            ),
        )

    [message] = aws(
        *("sqs", "receive-message", "--queue-url", url, "--max-number-of-messages", "10"),
        *("--message-attribute-names", "All"),
    )["Messages"]
    assert message["Body"] == "hello in en"
    assert message["MessageAttributes"] == {
        "lang": {"DataType": "String", "StringValue": "en"},
        "count": {"DataType": "Number", "StringValue": "1"},
        "bytes": {"DataType": "Binary", "BinaryValue": "cmF3"},  # as the CLI shows it
    }
    [listed] = aws("sns", "list-subscriptions-by-topic", "--topic-arn", arn)["Subscriptions"]
    assert listed["SubscriptionArn"] == subscription_arn
    assert aws("sns", "unsubscribe", "--subscription-arn", subscription_arn) is None
    assert aws("sns", "delete-topic", "--topic-arn", arn) is None


def test_a_subscription_is_confirmed_with_the_cli(aws: Cli, server: Server) -> None:
    arn = aws("sns", "create-topic", "--name", "cli-mail")["TopicArn"]
    asked = aws(
        *("sns", "subscribe", "--topic-arn", arn, "--protocol", "email-json"),
        *("--notification-endpoint", ADDRESS),
    )
    assert asked == {"SubscriptionArn": "pending confirmation"}

    confirmed = aws(
        *("sns", "confirm-subscription", "--topic-arn", arn),
        *("--token", email_token(server, arn), "--authenticate-on-unsubscribe", "true"),
    )

    told = aws(
        "sns", "get-subscription-attributes", "--subscription-arn", confirmed["SubscriptionArn"]
    )
    assert told["Attributes"]["PendingConfirmation"] == "false"
    assert told["Attributes"]["ConfirmationWasAuthenticated"] == "true"


def test_attributes_and_batches_work_with_the_cli(aws: Cli) -> None:
    arn = aws(
        *("sns", "create-topic", "--name", "cli.fifo"),
        *("--attributes", "FifoTopic=true,ContentBasedDeduplication=true"),
    )["TopicArn"]
    named = ("--attribute-name", "DisplayName", "--attribute-value", "Told")
    assert aws("sns", "set-topic-attributes", "--topic-arn", arn, *named) is None
    told = aws("sns", "get-topic-attributes", "--topic-arn", arn)["Attributes"]
    assert (told["DisplayName"], told["ContentBasedDeduplication"]) == ("Told", "true")

    batch = aws(
        *("sns", "publish-batch", "--topic-arn", arn, "--publish-batch-request-entries"),
        *("Id=a,Message=one,MessageGroupId=g", "Id=b,Message=one,MessageGroupId=g"),
    )

    first, second = batch["Successful"]
    assert re.fullmatch("[0-9]{20}", first["SequenceNumber"])
    assert first["MessageId"] == second["MessageId"]  # the same content, so the same message


def test_the_cli_tells_an_error_by_code_and_text(aws: Cli) -> None:
    ended = aws.run("sns", "publish", "--topic-arn", topic_arn("missing"), "--message", "m")
    assert ended.returncode in (254, 255)  # which one depends on its version
    assert (
        "An error occurred (NotFound) when calling the Publish operation: Topic does not exist"
        in ended.stderr
    )


# --- Node ---------------------------------------------------------------------------------------

PACKAGES = ("sns-validator@0.3", "@aws-sdk/client-sns@3")
#: npm's codes for a registry that cannot be reached, or does not let us in
UNREACHABLE = re.compile(
    r"npm \S+ code (ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH"
    r"|ERR_SOCKET_TIMEOUT|E401|E403|E407|E5\d\d)"
)
#: verifiers insist on such a host
CERTIFICATE_BASE = "https://sns.us-east-1.amazonaws.com"

#: Validates what is posted to it with AWS's own package, confirms subscriptions, and prints a line
#: for everything that comes.  The certificate is fetched from the server under test instead.
VALIDATOR = """
const http = require('http')
const https = require('https')
const [endpoint, base] = process.argv.slice(2)
https.get = (url, taken) => {
  if (!url.startsWith(base + '/')) throw new Error('fetches ' + url)
  return http.get(endpoint + url.slice(base.length), taken)
}
const Validator = require('sns-validator')
const validator = new Validator()
const server = http.createServer((request, response) => {
  const chunks = []
  request.on('data', chunk => chunks.push(chunk))
  request.on('end', () => validator.validate(Buffer.concat(chunks).toString(), (error, message) => {
    response.end()
    if (error) return console.log(JSON.stringify({ error: error.message }))
    if (message.SubscribeURL) http.get(message.SubscribeURL, answer => answer.resume())
    console.log(JSON.stringify(message))
  }))
})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
"""

#: Creates, subscribes a server of its own, confirms, publishes, and prints what it receives.
SDK = """
import { createServer } from 'node:http'
import * as SNS from '@aws-sdk/client-sns'
const client = new SNS.SNSClient({
  endpoint: process.argv[2], region: 'us-east-1',
  credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
})
const call = (name, input) => client.send(new SNS[name + 'Command'](input))
const { TopicArn } = await call('CreateTopic', { Name: 'from-node' })
const received = new Promise((resolve, reject) => {
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    response.end()
    const message = JSON.parse(body)
    if (message.Type === 'Notification') { server.close(); return resolve(message) }
    call('ConfirmSubscription', { TopicArn, Token: message.Token })
      .then(() => call('Publish', {
        TopicArn, Message: 'grüße', Subject: 'hello',
        MessageAttributes: {
          number: { DataType: 'Number', StringValue: '1.5' },
          bytes: { DataType: 'Binary', BinaryValue: new Uint8Array([0, 255]) },
        },
      })).catch(reject)
  })
  server.listen(0, '127.0.0.1', () => call('Subscribe', {
    TopicArn, Protocol: 'http', Endpoint: `http://127.0.0.1:${server.address().port}/`,
  }).catch(reject))
})
console.log(JSON.stringify(await received))
try {
  await call('GetTopicAttributes', { TopicArn: TopicArn + '-not' })
} catch (error) {
  const modelled = error instanceof SNS.NotFoundException
  console.log(JSON.stringify({ modelled, name: error.name, message: error.message }))
}
await call('DeleteTopic', { TopicArn })
process.exit()
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for scripts, with the packages that they need."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node is not installed")
    folder = tmp_path_factory.mktemp("node")
    (folder / "package.json").write_text("{}")
    options = ("--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=0")
    try:
        installed = subprocess.run(
            ["npm", "install", *options, *PACKAGES],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
    except subprocess.TimeoutExpired:
        pytest.skip("npm's registry is too slow")
    if UNREACHABLE.search(installed.stderr):
        pytest.skip(f"npm's registry cannot be reached: {installed.stderr[-500:]}")
    assert installed.returncode == 0, installed.stderr
    return folder


def read_json(process: "subprocess.Popen[str]") -> Any:
    """The next line that a script prints."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "it has ended"
    return json.loads(line)


@pytest.mark.parametrize("version", ["1", "2"])
def test_what_is_delivered_by_http_is_valid_to_the_validator_of_aws_for_node(
    tmp_path: Path, node: Path, version: str
) -> None:
    script = node / "validator.cjs"
    script.write_text(VALIDATOR)
    with (
        Server(tmp_path, "--store", "memory", "--signing-cert-url", CERTIFICATE_BASE) as server,
        subprocess.Popen(
            ["node", script, server.endpoint, CERTIFICATE_BASE],
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
        closing(
            boto3.client(
                "sns",
                endpoint_url=server.endpoint,
                region_name=REGION,
                aws_access_key_id="test",
                aws_secret_access_key="test",
            )
        ) as sns,
    ):
        try:
            url = f"http://127.0.0.1:{read_json(process)}/"
            arn = sns.create_topic(Name="signed", Attributes={"SignatureVersion": version})[
                "TopicArn"
            ]
            sns.subscribe(TopicArn=arn, Protocol="http", Endpoint=url)
            confirmation = read_json(process)
            sns.confirm_subscription(TopicArn=arn, Token=confirmation["Token"])
            told: list[Mapping[str, str]] = []
            for message in ({"Message": "grüße"}, {"Message": "\n", "Subject": "with one"}):
                sns.publish(TopicArn=arn, **message)
                told.append(read_json(process))
        finally:
            process.kill()

    assert confirmation["Type"] == "SubscriptionConfirmation"
    assert [(each["Type"], each["Message"], each.get("Subject")) for each in told] == [
        ("Notification", "grüße", None),
        ("Notification", "\n", "with one"),
    ]
    assert {each["SignatureVersion"] for each in told} == {version}
    assert {each["SigningCertURL"].rpartition("/")[0] for each in told} == {CERTIFICATE_BASE}


def test_the_sdk_for_node_creates_subscribes_publishes_and_receives(
    server: Server, node: Path
) -> None:
    script = node / "sdk.mjs"
    script.write_text(SDK)

    ended = subprocess.run(
        ["node", script, server.endpoint],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    message, error = map(json.loads, ended.stdout.splitlines())
    assert (message["Message"], message["Subject"]) == ("grüße", "hello")
    assert message["MessageAttributes"] == {
        "number": {"Type": "Number", "Value": "1.5"},
        "bytes": {"Type": "Binary", "Value": "AP8="},
    }
    assert error == {
        "modelled": True,
        "name": "NotFoundException",
        "message": "Topic does not exist",
    }
