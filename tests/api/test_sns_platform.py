"""Platform applications and endpoints (SNS reference, 2.4 and 9.2)."""

import re
from base64 import b64decode
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.clock import START_MS
from tests.support.server import MEMORY_ONLY, Server
from tests.support.sns import SnsClient, sns_refusal

pytestmark = MEMORY_ONLY

CREDENTIALS = {"PlatformPrincipal": "principal", "PlatformCredential": "credential"}
MISSING = "arn:aws:sns:us-east-1:000000000000:app/ADM/missing"
NULL_ATTRIBUTES = (
    "ValidationError",
    "1 validation error detected: Value null at 'attributes' failed to satisfy constraint:"
    " Member must not be null",
)
NO_APPLICATION = ("NotFound", "PlatformApplication does not exist")
NO_ENDPOINT = ("NotFound", "Endpoint does not exist")
UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def invalid(detail: str) -> tuple[str, str]:
    """The refusal of a parameter."""
    return "InvalidParameter", f"Invalid parameter: {detail}"


@pytest.fixture
def sns(server: Server) -> SnsClient:
    """A client of the server."""
    return SnsClient(server.http)


async def create_application(
    sns: SnsClient, name: str = "app", platform: str = "ADM", **attributes: str
) -> str:
    """The ARN of an application; GCM has but one credential."""
    created = await sns.call(
        "CreatePlatformApplication",
        Name=name,
        Platform=platform,
        Attributes=CREDENTIALS | attributes,
    )
    arn: str = created["PlatformApplicationArn"]
    return arn


@pytest.fixture
async def application(sns: SnsClient) -> str:
    """The ARN of an application of ADM."""
    return await create_application(sns)


async def create_endpoint(sns: SnsClient, application: str, **members: Any) -> str:
    """The ARN of an endpoint, of the token ``token`` if not said otherwise."""
    members.setdefault("Token", "token")
    created = await sns.call(
        "CreatePlatformEndpoint", PlatformApplicationArn=application, **members
    )
    arn: str = created["EndpointArn"]
    return arn


async def attributes_of(sns: SnsClient, arn: str) -> dict[str, str]:
    """The attributes of an application or endpoint."""
    operation, parameter = (
        ("GetPlatformApplicationAttributes", "PlatformApplicationArn")
        if ":app/" in arn
        else ("GetEndpointAttributes", "EndpointArn")
    )
    attributes: dict[str, str] = (await sns.call(operation, **{parameter: arn}))["Attributes"]
    return attributes


async def endpoints_of(sns: SnsClient, application: str) -> list[Any]:
    """The first page of an application's endpoints."""
    listed = await sns.call(
        "ListEndpointsByPlatformApplication", PlatformApplicationArn=application
    )
    endpoints: list[Any] = listed["Endpoints"]
    return endpoints


# --- CreatePlatformApplication ------------------------------------------------------------------


async def test_an_application_is_named_by_its_platform_and_name(sns: SnsClient) -> None:
    arn = await create_application(sns, "My_app-1.0", "ADM")
    assert arn == "arn:aws:sns:us-east-1:000000000000:app/ADM/My_app-1.0"
    elsewhere = await create_application(sns.but(region="cn-north-1", account="111111111111"))
    assert elsewhere == "arn:aws-cn:sns:cn-north-1:111111111111:app/ADM/app"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "cannot be empty"),
        ("a" * 257, "must be at most 256 characters long"),
        (
            "@name",
            "must contain only characters 'a'-'z', 'A'-'Z', '0'-'9', '_', '-', and '.'",
        ),
    ],
)
async def test_a_bad_name_is_echoed(sns: SnsClient, name: str, problem: str) -> None:
    call = create_application(sns, name)
    assert await sns_refusal(call) == invalid(f"{name} Reason: {problem}")


async def test_a_name_of_256_characters_is_fine(sns: SnsClient) -> None:
    assert (await create_application(sns, "a" * 256)).endswith("a" * 256)


@pytest.mark.parametrize("platform", ["AAA", "FCM", "adm", ""])
async def test_an_unknown_platform_is_refused(sns: SnsClient, platform: str) -> None:
    call = create_application(sns, platform=platform)
    assert await sns_refusal(call) == invalid(f"Platform Reason: {platform} is not supported")


@pytest.mark.parametrize(
    "platform", ["ADM", "APNS", "APNS_SANDBOX", "APNS_VOIP", "BAIDU", "GCM", "MPNS", "WNS"]
)
async def test_each_platform_is_supported(sns: SnsClient, platform: str) -> None:
    assert await create_application(sns, platform=platform)


async def test_an_application_without_attributes_is_refused(sns: SnsClient) -> None:
    call = sns.call("CreatePlatformApplication", Name="app", Platform="ADM", Attributes={})
    assert await sns_refusal(call) == NULL_ATTRIBUTES


async def test_the_name_is_checked_before_the_platform_and_that_before_the_attributes(
    sns: SnsClient,
) -> None:
    call = sns.call("CreatePlatformApplication", Name="@", Platform="AAA", Attributes={})
    assert (await sns_refusal(call))[1].startswith("Invalid parameter: @ Reason")
    call = sns.call("CreatePlatformApplication", Name="app", Platform="AAA", Attributes={})
    assert await sns_refusal(call) == invalid("Platform Reason: AAA is not supported")


@pytest.mark.parametrize(
    ("platform", "given", "absent"),
    [
        ("ADM", "PlatformPrincipal", "PlatformCredential"),
        ("GCM", "PlatformPrincipal", "PlatformCredential"),
        ("ADM", "PlatformCredential", "PlatformPrincipal"),
        ("APNS", "PlatformCredential", "PlatformPrincipal"),
    ],
)
async def test_one_credential_without_the_other_is_refused(
    sns: SnsClient, platform: str, given: str, absent: str
) -> None:
    call = sns.call(
        "CreatePlatformApplication", Name="app", Platform=platform, Attributes={given: "secret"}
    )
    assert await sns_refusal(call) == invalid(
        f"Attributes Reason: {given} attribute provided without {absent}"
    )


async def test_gcm_takes_its_credential_alone(sns: SnsClient) -> None:
    for attributes in (
        {"PlatformCredential": "key"},
        {"PlatformCredential": "key", "PlatformPrincipal": ""},
    ):
        await sns.call(
            "CreatePlatformApplication", Name="app", Platform="GCM", Attributes=attributes
        )


async def test_an_application_needs_credentials(sns: SnsClient) -> None:
    call = sns.call(
        "CreatePlatformApplication", Name="app", Platform="ADM", Attributes={"Enabled": "true"}
    )
    assert (await sns_refusal(call))[0] == "InvalidParameter"


async def test_an_application_is_created_once(sns: SnsClient, application: str) -> None:
    await create_endpoint(sns, application)
    assert await create_application(sns) == application
    assert await create_application(sns, Enabled="true") == application
    assert len(await endpoints_of(sns, application)) == 1


async def test_an_application_with_other_attributes_is_refused(
    sns: SnsClient, application: str
) -> None:
    for attributes in ({"PlatformCredential": "other"}, {"SuccessFeedbackSampleRate": "5"}):
        assert await sns_refusal(create_application(sns, **attributes)) == invalid(
            "Attributes Reason: An application with the same name but different properties"
            " already exists"
        )


async def test_applications_of_one_name_and_two_platforms_are_two(
    sns: SnsClient, application: str
) -> None:
    assert await create_application(sns, platform="GCM") != application


# --- attributes of applications -----------------------------------------------------------------


async def test_the_credentials_are_never_told(sns: SnsClient, application: str) -> None:
    assert await attributes_of(sns, application) == {"Enabled": "true"}
    await sns.call(
        "SetPlatformApplicationAttributes",
        PlatformApplicationArn=application,
        Attributes={"PlatformCredential": "new", "SuccessFeedbackSampleRate": "50"},
    )
    told = {"Enabled": "true", "SuccessFeedbackSampleRate": "50"}
    assert await attributes_of(sns, application) == told
    listed = await sns.call("ListPlatformApplications")
    assert listed["PlatformApplications"] == [
        {"PlatformApplicationArn": application, "Attributes": told}
    ]


async def test_an_attribute_is_unset_by_an_empty_value(sns: SnsClient) -> None:
    role = "arn:aws:iam::000000000000:role/logs"
    application = await create_application(sns, SuccessFeedbackRoleArn=role)
    assert (await attributes_of(sns, application))["SuccessFeedbackRoleArn"] == role
    await sns.call(
        "SetPlatformApplicationAttributes",
        PlatformApplicationArn=application,
        Attributes={"SuccessFeedbackRoleArn": ""},
    )
    assert await attributes_of(sns, application) == {"Enabled": "true"}


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        ({"Wrong": "x"}, "Invalid attribute name: Wrong"),
        ({"AuthenticationMethod": "token"}, "Invalid attribute name: AuthenticationMethod"),
        ({"Enabled": "yes"}, "Invalid value for attribute: Enabled: must be true or false"),
        (
            {"SuccessFeedbackSampleRate": "101"},
            "Invalid value for attribute: SuccessFeedbackSampleRate: must be an integer from 0"
            " to 100",
        ),
        (
            {"EventEndpointCreated": "topic"},
            "Invalid value for attribute: EventEndpointCreated: must be the ARN of a topic",
        ),
        (
            {"EventDeliveryFailure": "arn:aws:sns::000000000000:topic"},
            "Invalid value for attribute: EventDeliveryFailure: must be the ARN of a topic",
        ),
        (
            {"PlatformCredential": ""},
            "PlatformPrincipal attribute provided without PlatformCredential",
        ),
    ],
)
async def test_a_wrong_attribute_changes_nothing(
    sns: SnsClient, application: str, attributes: dict[str, str], problem: str
) -> None:
    call = sns.call(
        "SetPlatformApplicationAttributes",
        PlatformApplicationArn=application,
        Attributes={"SuccessFeedbackSampleRate": "7", **attributes},
    )
    assert await sns_refusal(call) == invalid(f"Attributes Reason: {problem}")
    assert await attributes_of(sns, application) == {"Enabled": "true"}


async def test_null_attributes_are_told_after_the_arn_and_before_the_application(
    sns: SnsClient,
) -> None:
    for arn, refused in (
        (
            "invalid",
            invalid("PlatformApplicationArn Reason: An ARN must have at least 6 elements, not 1"),
        ),
        (MISSING, NULL_ATTRIBUTES),
    ):
        call = sns.call(
            "SetPlatformApplicationAttributes", PlatformApplicationArn=arn, Attributes={}
        )
        assert await sns_refusal(call) == refused


@pytest.mark.parametrize(
    ("platform", "principal", "credential", "method"),
    [
        ("GCM", "", "AIzaSyKey", "key"),
        ("GCM", "", '{"type": "service_account"}', "token"),
        ("APNS", "ABC123DEFG", "-----BEGIN PRIVATE KEY-----", "token"),
        ("APNS_SANDBOX", "-----BEGIN CERTIFICATE-----", "-----BEGIN", "certificate"),
    ],
)
async def test_the_authentication_method_follows_from_the_credentials(
    sns: SnsClient, platform: str, principal: str, credential: str, method: str
) -> None:
    application = await create_application(
        sns, platform=platform, PlatformPrincipal=principal, PlatformCredential=credential
    )
    assert await attributes_of(sns, application) == {
        "Enabled": "true",
        "AuthenticationMethod": method,
    }


def certificate(expires: str) -> str:
    """A certificate valid until then, as Apple's are given to SNS."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Apple Push Services")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1)
    made = (
        builder.not_valid_before(datetime.fromtimestamp(START_MS / 1000, UTC))
        .not_valid_after(datetime.fromisoformat(expires))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


async def test_the_expiry_of_apples_certificate_is_told(sns: SnsClient) -> None:
    expires = "2027-03-04T05:06:07Z"
    application = await create_application(
        sns, platform="APNS", PlatformPrincipal=certificate(expires)
    )
    assert await attributes_of(sns, application) == {
        "Enabled": "true",
        "AuthenticationMethod": "certificate",
        "AppleCertificateExpiryDate": expires,
    }


# --- ARNs ---------------------------------------------------------------------------------------

ON_APPLICATIONS: dict[str, dict[str, Any]] = {
    "GetPlatformApplicationAttributes": {},
    "SetPlatformApplicationAttributes": {"Attributes": {"Enabled": "true"}},
    "CreatePlatformEndpoint": {"Token": "token"},
    "ListEndpointsByPlatformApplication": {},
}
ON_ENDPOINTS: dict[str, dict[str, Any]] = {
    "GetEndpointAttributes": {},
    "SetEndpointAttributes": {"Attributes": {"Enabled": "true"}},
}


@pytest.mark.parametrize("operation", [*ON_APPLICATIONS, "DeletePlatformApplication"])
async def test_what_names_no_application_is_refused(
    sns: SnsClient, application: str, operation: str
) -> None:
    members = ON_APPLICATIONS.get(operation, {})
    parameter = "PlatformApplicationArn"
    slashes = f"{parameter} Reason: Wrong number of slashes in relative portion of the ARN."
    for arn, problem in (
        ("", f"{parameter} Reason: An ARN must have at least 6 elements, not 1"),
        ("a:b:c", f"{parameter} Reason: An ARN must have at least 6 elements, not 3"),
        (f"{application}/more", slashes),
        (application.replace("/ADM", ""), slashes),
        (application.replace("us-east-1", "eu-west-1"), parameter),
        (application.replace("app/", "endpoint/"), parameter),
    ):
        call = sns.call(operation, **{parameter: arn}, **members)
        assert await sns_refusal(call) == invalid(problem)


@pytest.mark.parametrize("operation", [*ON_ENDPOINTS, "DeleteEndpoint"])
async def test_what_names_no_endpoint_is_refused(
    sns: SnsClient, application: str, operation: str
) -> None:
    arn = await create_endpoint(sns, application)
    members = ON_ENDPOINTS.get(operation, {})
    slashes = "EndpointArn Reason: Wrong number of slashes in relative portion of the ARN."
    for wrong, problem in (
        ("invalid", "EndpointArn Reason: An ARN must have at least 6 elements, not 1"),
        (application, slashes),
        (f"{arn}/more", slashes),
        (arn.replace("us-east-1", "eu-west-1"), "EndpointArn"),
    ):
        call = sns.call(operation, EndpointArn=wrong, **members)
        assert await sns_refusal(call) == invalid(problem)


@pytest.mark.parametrize("operation", ON_APPLICATIONS)
async def test_a_missing_application_is_not_found(sns: SnsClient, operation: str) -> None:
    call = sns.call(operation, PlatformApplicationArn=MISSING, **ON_APPLICATIONS[operation])
    assert await sns_refusal(call) == NO_APPLICATION


@pytest.mark.parametrize("operation", ON_ENDPOINTS)
async def test_a_missing_endpoint_is_not_found(
    sns: SnsClient, application: str, operation: str
) -> None:
    arn = f"{application.replace('app/', 'endpoint/')}/00000000-0000-4000-8000-000000000000"
    call = sns.call(operation, EndpointArn=arn, **ON_ENDPOINTS[operation])
    assert await sns_refusal(call) == NO_ENDPOINT


async def test_an_absent_parameter_is_named(sns: SnsClient, application: str) -> None:
    for operation, members, name in (
        ("DeleteEndpoint", {}, "EndpointArn"),
        ("GetPlatformApplicationAttributes", {}, "PlatformApplicationArn"),
        ("CreatePlatformEndpoint", {"PlatformApplicationArn": application}, "Token"),
        ("CreatePlatformApplication", {"Platform": "ADM", "Attributes": CREDENTIALS}, "Name"),
    ):
        assert await sns_refusal(sns.call(operation, **members)) == invalid(
            f"{name} Reason: no value for required parameter"
        )


async def test_what_belongs_to_another_account_is_denied(sns: SnsClient, application: str) -> None:
    endpoint = await create_endpoint(sns, application)
    stranger = sns.but(account="111111111111")
    for operation, parameter, arn in (
        ("GetPlatformApplicationAttributes", "PlatformApplicationArn", application),
        ("DeletePlatformApplication", "PlatformApplicationArn", application),
        ("DeleteEndpoint", "EndpointArn", endpoint),
    ):
        assert await sns_refusal(stranger.call(operation, **{parameter: arn})) == (
            "AuthorizationError",
            "User: arn:aws:iam::111111111111:root is not authorized to perform:"
            f" SNS:{operation} on resource: {arn}",
        )
    assert await attributes_of(sns, endpoint) == {"Enabled": "true", "Token": "token"}


# --- CreatePlatformEndpoint ---------------------------------------------------------------------


async def test_an_endpoint_has_a_uuid_below_its_application(
    sns: SnsClient, application: str
) -> None:
    arn = await create_endpoint(sns, application)
    assert re.fullmatch(f"arn:aws:sns:us-east-1:000000000000:endpoint/ADM/app/{UUID}", arn)
    assert await attributes_of(sns, arn) == {"Enabled": "true", "Token": "token"}


async def test_a_token_with_the_same_attributes_is_the_same_endpoint(
    sns: SnsClient, application: str
) -> None:
    arn = await create_endpoint(sns, application, CustomUserData="me")
    assert await create_endpoint(sns, application, CustomUserData="me") == arn
    for attributes in ({"Enabled": "true"}, {"Enabled": "True"}):
        again = await create_endpoint(sns, application, CustomUserData="me", Attributes=attributes)
        assert again == arn
    assert await create_endpoint(sns, application, Attributes={"CustomUserData": "me"}) == arn
    assert len(await endpoints_of(sns, application)) == 1


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"CustomUserData": "you"},
        {"CustomUserData": "me", "Attributes": {"Enabled": "false"}},
        {"Attributes": {"CustomUserData": "you"}},
    ],
)
async def test_a_token_with_other_attributes_is_refused(
    sns: SnsClient, application: str, members: dict[str, Any]
) -> None:
    arn = await create_endpoint(sns, application, CustomUserData="me")
    assert await sns_refusal(create_endpoint(sns, application, **members)) == invalid(
        f"Token Reason: Endpoint {arn} already exists with the same Token, but different"
        " attributes."
    )


async def test_a_token_belongs_to_each_application_anew(sns: SnsClient, application: str) -> None:
    other = await create_application(sns, "other")
    assert await create_endpoint(sns, application) != await create_endpoint(sns, other)


async def test_the_attributes_win_over_the_parameter(sns: SnsClient, application: str) -> None:
    arn = await create_endpoint(
        sns,
        application,
        CustomUserData="of the parameter",
        Attributes={"CustomUserData": "of the attributes"},
    )
    assert (await attributes_of(sns, arn))["CustomUserData"] == "of the attributes"


async def test_an_endpoint_may_be_created_disabled(sns: SnsClient, application: str) -> None:
    arn = await create_endpoint(sns, application, Attributes={"Enabled": "false"})
    assert (await attributes_of(sns, arn))["Enabled"] == "false"


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"Attributes": {"Wrong": "x"}}, "Attributes Reason: Invalid attribute name: Wrong"),
        (
            {"Attributes": {"CustomUserData": "ä" * 1_025}},
            "Attributes Reason: Invalid value for attribute: CustomUserData: must be at most 2048"
            " bytes long in UTF-8 encoding",
        ),
        (
            {"CustomUserData": "a" * 2_049},
            "Attributes Reason: Invalid value for attribute: CustomUserData: must be at most 2048"
            " bytes long in UTF-8 encoding",
        ),
        (
            {"Attributes": {"Enabled": "1"}},
            "Attributes Reason: Invalid value for attribute: Enabled: must be true or false",
        ),
        ({"Token": ""}, "Token Reason: cannot be empty"),
    ],
)
async def test_a_wrong_endpoint_is_refused(
    sns: SnsClient, application: str, members: dict[str, Any], problem: str
) -> None:
    assert await sns_refusal(create_endpoint(sns, application, **members)) == invalid(problem)
    assert await endpoints_of(sns, application) == []


async def test_user_data_may_have_2048_bytes(sns: SnsClient, application: str) -> None:
    arn = await create_endpoint(sns, application, CustomUserData="ä" * 1_024)
    assert (await attributes_of(sns, arn))["CustomUserData"] == "ä" * 1_024


async def test_apples_tokens_are_lower_case(sns: SnsClient) -> None:
    application = await create_application(sns, platform="APNS_SANDBOX")
    arn = await create_endpoint(sns, application, Token="ABCDEF")
    assert (await attributes_of(sns, arn))["Token"] == "abcdef"
    assert await create_endpoint(sns, application, Token="AbcDef") == arn


async def test_other_tokens_keep_their_case(sns: SnsClient, application: str) -> None:
    arn = await create_endpoint(sns, application, Token="ABC")
    assert (await attributes_of(sns, arn))["Token"] == "ABC"
    assert await create_endpoint(sns, application, Token="abc") != arn


# --- SetEndpointAttributes ----------------------------------------------------------------------


async def set_endpoint(sns: SnsClient, arn: str, **attributes: str) -> None:
    await sns.call("SetEndpointAttributes", EndpointArn=arn, Attributes=attributes)


async def test_attributes_that_are_not_given_stay(sns: SnsClient, application: str) -> None:
    arn = await create_endpoint(sns, application, CustomUserData="me")
    await set_endpoint(sns, arn, Enabled="false")
    assert await attributes_of(sns, arn) == {
        "Enabled": "false",
        "Token": "token",
        "CustomUserData": "me",
    }
    await set_endpoint(sns, arn, Enabled="true", Token="new", CustomUserData="")
    assert await attributes_of(sns, arn) == {"Enabled": "true", "Token": "new"}


async def test_a_token_that_was_replaced_is_free(sns: SnsClient, application: str) -> None:
    arn = await create_endpoint(sns, application)
    await set_endpoint(sns, arn, Token="new")
    assert await create_endpoint(sns, application, Token="new") == arn
    assert await create_endpoint(sns, application, Token="token") != arn


async def test_a_token_of_another_endpoint_is_refused(sns: SnsClient, application: str) -> None:
    arn = await create_endpoint(sns, application)
    other = await create_endpoint(sns, application, Token="other")
    assert await sns_refusal(set_endpoint(sns, other, Token="token", Enabled="false")) == invalid(
        f"Token Reason: Endpoint {arn} already exists with the same Token, but different"
        " attributes."
    )
    assert await attributes_of(sns, other) == {"Enabled": "true", "Token": "other"}


async def test_wrong_endpoint_attributes_are_refused(sns: SnsClient, application: str) -> None:
    arn = await create_endpoint(sns, application)
    assert await sns_refusal(set_endpoint(sns, arn)) == NULL_ATTRIBUTES
    assert await sns_refusal(set_endpoint(sns, arn, Enabled="false", Wrong="x")) == invalid(
        "Attributes Reason: Invalid attribute name: Wrong"
    )
    assert await attributes_of(sns, arn) == {"Enabled": "true", "Token": "token"}


# --- deleting -----------------------------------------------------------------------------------


async def test_a_deleted_endpoint_is_gone_and_its_token_free(
    sns: SnsClient, application: str
) -> None:
    arn = await create_endpoint(sns, application)
    assert await sns.call("DeleteEndpoint", EndpointArn=arn) == {}
    assert await sns.call("DeleteEndpoint", EndpointArn=arn) == {}
    assert await sns_refusal(attributes_of(sns, arn)) == NO_ENDPOINT
    assert await endpoints_of(sns, application) == []
    assert await create_endpoint(sns, application, CustomUserData="other") != arn


async def test_an_application_is_deleted_with_its_endpoints(
    sns: SnsClient, application: str
) -> None:
    arn = await create_endpoint(sns, application)
    for _ in range(2):
        deleted = await sns.call("DeletePlatformApplication", PlatformApplicationArn=application)
        assert deleted == {}
    assert await sns_refusal(endpoints_of(sns, application)) == NO_APPLICATION
    assert await sns.call("DeleteEndpoint", EndpointArn=arn) == {}
    assert await create_application(sns, PlatformCredential="other") == application
    assert await endpoints_of(sns, application) == []


# --- listing ------------------------------------------------------------------------------------


async def test_nothing_is_listed_as_an_empty_list(sns: SnsClient) -> None:
    assert await sns.call("ListPlatformApplications") == {"PlatformApplications": []}
    application = await create_application(sns)
    assert await endpoints_of(sns, application) == []


async def test_endpoints_are_listed_with_their_attributes(sns: SnsClient, application: str) -> None:
    one = await create_endpoint(sns, application, CustomUserData="me")
    two = await create_endpoint(sns, application, Token="two", Attributes={"Enabled": "false"})
    other = await create_application(sns, "other")
    await create_endpoint(sns, other)
    assert sorted(await endpoints_of(sns, application), key=lambda each: each["EndpointArn"]) == [
        {
            "EndpointArn": one,
            "Attributes": {"Enabled": "true", "Token": "token", "CustomUserData": "me"},
        },
        {"EndpointArn": two, "Attributes": {"Enabled": "false", "Token": "two"}},
    ]


async def test_applications_are_listed_for_one_account_in_one_region(
    sns: SnsClient, application: str
) -> None:
    for elsewhere in (sns.but(account="111111111111"), sns.but(region="eu-west-1")):
        assert await elsewhere.call("ListPlatformApplications") == {"PlatformApplications": []}


async def test_applications_come_in_pages_of_100(sns: SnsClient) -> None:
    arns = [await create_application(sns, f"app-{n:03}") for n in range(201)]
    listed: list[str] = []
    sizes = []
    members: dict[str, str] = {}
    while True:
        page = await sns.call("ListPlatformApplications", **members)
        found = [each["PlatformApplicationArn"] for each in page["PlatformApplications"]]
        listed += found
        sizes.append(len(found))
        if "NextToken" not in page:
            break
        members = {"NextToken": page["NextToken"]}
        assert b64decode(page["NextToken"], validate=True)
    assert sizes == [100, 100, 1]
    assert listed == arns


async def test_endpoints_come_in_pages_of_100(sns: SnsClient, application: str) -> None:
    arns = {await create_endpoint(sns, application, Token=f"token {n}") for n in range(101)}
    operation = "ListEndpointsByPlatformApplication"
    first = await sns.call(operation, PlatformApplicationArn=application)
    second = await sns.call(
        operation, PlatformApplicationArn=application, NextToken=first["NextToken"]
    )
    assert [len(page["Endpoints"]) for page in (first, second)] == [100, 1]
    assert {e["EndpointArn"] for page in (first, second) for e in page["Endpoints"]} == arns
    assert "NextToken" not in second


async def test_a_token_of_another_list_is_refused(sns: SnsClient, application: str) -> None:
    for n in range(101):
        await create_endpoint(sns, application, Token=f"token {n}")
    listed = await sns.call(
        "ListEndpointsByPlatformApplication", PlatformApplicationArn=application
    )
    other = await create_application(sns, "other")
    for token in (listed["NextToken"], "nonsense", "", "-_-_"):
        assert await sns_refusal(sns.call("ListPlatformApplications", NextToken=token)) == invalid(
            "NextToken"
        )
        call = sns.call(
            "ListEndpointsByPlatformApplication", PlatformApplicationArn=other, NextToken=token
        )
        assert await sns_refusal(call) == invalid("NextToken")
