"""Mobile push: platform applications and their endpoints (SNS reference, 2.4 and 9.2).

They are kept as documents: an application by platform and name; an endpoint by its application's
id and its own; and for each token of an application the endpoint that it belongs to.  As the id
of an application is never given out again, nobody can reach what belonged to one that is gone.
"""

import dataclasses
import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from broker import limits
from broker.arns import arn_parts, parse_arn, partition
from broker.callers import Caller
from broker.clock import Clock
from broker.envelopes import ProtocolMessages, timestamp_text
from broker.ids import Ids
from broker.pages import page_after, page_of
from broker.seals import Seal
from broker.topic_errors import (
    AuthorizationError,
    InvalidParameter,
    NotFound,
    NullMember,
    TopicError,
)
from storage.contract import Storage
from storage.topic_records import DocumentChange, DocumentKey

logger = logging.getLogger(__name__)

_APPLICATIONS = "platform-application"
_ENDPOINTS = "platform-endpoint"
_TOKENS = "platform-token"

#: those of today, and those of before that are still known
_PLATFORMS = frozenset(
    {
        "ADM",
        "APNS",
        "APNS_SANDBOX",
        "APNS_PASSBOOK",
        "APNS_VOIP",
        "APNS_VOIP_SANDBOX",
        "BAIDU",
        "GCM",
        "MACOS",
        "MACOS_SANDBOX",
        "MPNS",
        "WNS",
    }
)
_APPLE = ("APNS", "MACOS")  # what the names of Apple's platforms begin with
_NAME = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)
_NAME_CHARACTERS_MAX = 256
_USER_DATA_BYTES_MAX = 2_048
_APPLE_KEY_ID = re.compile(r"[A-Z0-9]{10}", re.ASCII)
_SAMPLE_RATE = re.compile(r"\d{1,3}", re.ASCII)
_SAMPLE_RATE_MAX = 100
_ENDPOINTS_PER_STEP = 100

_SECRET = frozenset({"PlatformCredential", "PlatformPrincipal"})
_EVENTS = frozenset(
    {
        "EventEndpointCreated",
        "EventEndpointDeleted",
        "EventEndpointUpdated",
        "EventDeliveryFailure",
    }
)
_APPLICATION_ATTRIBUTES = frozenset(
    {
        *_SECRET,
        *_EVENTS,
        "ApplePlatformBundleID",
        "ApplePlatformTeamID",
        "Enabled",
        "FailureFeedbackRoleArn",
        "SuccessFeedbackRoleArn",
        "SuccessFeedbackSampleRate",
    }
)
_ENDPOINT_ATTRIBUTES = frozenset({"CustomUserData", "Enabled", "Token"})


class PlatformApplication(NamedTuple):
    """An application as it is listed: without its credentials."""

    arn: str
    attributes: dict[str, str]


class PlatformEndpoint(NamedTuple):
    """A device and app that can be published to."""

    arn: str
    application_arn: str
    platform: str
    token: str
    enabled: bool
    custom_user_data: str | None

    @property
    def attributes(self) -> dict[str, str]:
        """The attributes as AWS names and writes them."""
        attributes = {"Enabled": "true" if self.enabled else "false", "Token": self.token}
        if self.custom_user_data is not None:
            attributes["CustomUserData"] = self.custom_user_data
        return attributes


class _Place(NamedTuple):
    """Where an application is, or one of its endpoints."""

    account: str
    region: str
    platform: str
    name: str
    endpoint_id: str = ""

    @property
    def application_arn(self) -> str:
        return f"{self._arn}:app/{self.platform}/{self.name}"

    @property
    def endpoint_arn(self) -> str:
        return f"{self._arn}:endpoint/{self.platform}/{self.name}/{self.endpoint_id}"

    @property
    def _arn(self) -> str:
        return f"arn:{partition(self.region)}:sns:{self.region}:{self.account}"

    @property
    def application_key(self) -> DocumentKey:
        return self.key(_APPLICATIONS, f"{self.platform}/{self.name}")

    def key(self, kind: str, name: str) -> DocumentKey:
        return DocumentKey(kind, self.account, self.region, name)


@dataclasses.dataclass(frozen=True, slots=True)
class _Application:
    """The document of an application."""

    application_id: str
    attributes: Mapping[str, str]  # those that are set, as AWS names and writes them

    @classmethod
    def read(cls, text: str) -> "_Application":
        return cls(**json.loads(text))

    def text(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @property
    def prefix(self) -> str:
        """What the names of the documents that belong to it begin with."""
        return f"{self.application_id}/"

    def render(self, platform: str) -> dict[str, str]:
        """The attributes that are told: all that are no secret, and what they say of those."""
        told = {name: value for name, value in self.attributes.items() if name not in _SECRET}
        return told | _about_credentials(platform, self.attributes)


@dataclasses.dataclass(frozen=True, slots=True)
class _Endpoint:
    """The document of an endpoint."""

    token: str
    enabled: bool = True
    custom_user_data: str | None = None

    @classmethod
    def read(cls, text: str) -> "_Endpoint":
        return cls(**json.loads(text))

    def text(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    def at(self, place: _Place) -> PlatformEndpoint:
        return PlatformEndpoint(
            place.endpoint_arn,
            place.application_arn,
            place.platform,
            self.token,
            self.enabled,
            self.custom_user_data,
        )


class _Stored(NamedTuple):
    """An endpoint with its application, and the texts they have in the store."""

    application: _Application
    application_text: str
    endpoint: _Endpoint
    endpoint_text: str
    endpoint_key: DocumentKey


class Platforms:
    """Verbs on platform applications and endpoints.

    ``publish_event``, if set, is called with the ARN of a topic and a message, for each event that
    an application wants to be told there.
    """

    def __init__(self, store: Storage, clock: Clock, ids: Ids, seal: Seal) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._seal = seal
        self.publish_event: Callable[[str, str], Awaitable[None]] | None = None

    # --- applications ---------------------------------------------------------------------------

    async def create_application(
        self, caller: Caller, name: str, platform: str, attributes: Mapping[str, str]
    ) -> str:
        """The ARN of the application of that platform and name, created if need be.

        An existing one is returned if each attribute given is as it is there; if not, and for
        what cannot be accepted, ``InvalidParameter`` is raised, and ``NullMember`` without
        attributes.
        """
        _check_name(name)
        if platform not in _PLATFORMS:
            raise InvalidParameter.of(f"Platform Reason: {platform} is not supported")
        if not attributes:
            raise NullMember("attributes")
        read = _read_application_attributes(attributes)
        _check_credentials(platform, read)
        place = _Place(caller.account, caller.region, platform, name)
        while True:
            text = await self._store.get_document(place.application_key)
            if text is not None:
                existing = _Application.read(text).attributes
                if any(existing.get(each, "") != value for each, value in read.items()):
                    raise InvalidParameter.of(
                        "Attributes Reason: An application with the same name but different"
                        " properties already exists"
                    )
                return place.application_arn
            kept = {each: value for each, value in read.items() if value}
            created = _Application(self._ids.uuid(), {"Enabled": "true", **kept})
            if await self._change(DocumentChange(place.application_key, None, created.text())):
                return place.application_arn

    async def delete_application(self, caller: Caller, arn: str) -> None:
        """Remove an application with its endpoints; one that is not there does not matter."""
        place = _read_application_arn(caller, arn, "DeletePlatformApplication")
        while True:
            text = await self._store.get_document(place.application_key)
            if text is None:
                return
            if await self._change(DocumentChange(place.application_key, text, None)):
                break
        await self._remove_endpoints(place, _Application.read(text))

    async def _remove_endpoints(self, place: _Place, application: _Application) -> None:
        """In steps: there may be many.  No new one comes, as the application is gone."""
        while documents := await self._store.list_documents(
            _ENDPOINTS,
            place.account,
            place.region,
            prefix=application.prefix,
            limit=_ENDPOINTS_PER_STEP,
        ):
            changes = []
            for name, text in documents:
                token = application.prefix + _Endpoint.read(text).token
                changes += [
                    DocumentChange(place.key(_ENDPOINTS, name), text, None),
                    DocumentChange(
                        place.key(_TOKENS, token), name.removeprefix(application.prefix), None
                    ),
                ]
            await self._change(*changes)

    async def application_attributes(self, caller: Caller, arn: str) -> dict[str, str]:
        """The attributes of an application but for its credentials; raises ``NotFound``."""
        place = _read_application_arn(caller, arn, "GetPlatformApplicationAttributes")
        application, _ = await self._application(place)
        return application.render(place.platform)

    async def set_application_attributes(
        self, caller: Caller, arn: str, attributes: Mapping[str, str]
    ) -> None:
        """Change attributes, all that are given or none; an empty value unsets one."""
        place = _read_application_arn(caller, arn, "SetPlatformApplicationAttributes")
        if not attributes:
            raise NullMember("attributes")
        while True:
            application, text = await self._application(place)
            merged = {**application.attributes, **_read_application_attributes(attributes)}
            _check_credentials(place.platform, merged)
            kept = {each: value for each, value in merged.items() if value}
            changed = dataclasses.replace(application, attributes=kept)
            if await self._change(DocumentChange(place.application_key, text, changed.text())):
                return

    async def applications(
        self, caller: Caller, next_token: str | None
    ) -> tuple[list[PlatformApplication], str | None]:
        """The caller's applications, and the token of the next page if there is one."""
        here = _Place(caller.account, caller.region, "", "")
        documents, token = await self._page(here, _APPLICATIONS, "", next_token)
        found = []
        for document_name, text in documents:
            platform, name = document_name.split("/")
            place = here._replace(platform=platform, name=name)
            attributes = _Application.read(text).render(platform)
            found.append(PlatformApplication(place.application_arn, attributes))
        return found, token

    # --- endpoints ------------------------------------------------------------------------------

    async def create_endpoint(
        self,
        caller: Caller,
        application_arn: str,
        token: str,
        custom_user_data: str | None,
        attributes: Mapping[str, str],
    ) -> str:
        """The ARN of the endpoint of that token, created if need be.

        What the attributes say wins over the parameters.  Raises ``InvalidParameter`` also if the
        token's endpoint has other attributes, ``NotFound`` without the application.
        """
        place = _read_application_arn(caller, application_arn, "CreatePlatformEndpoint")
        application, application_text = await self._application(place)
        if custom_user_data is not None:
            attributes = {"CustomUserData": custom_user_data, **attributes}
        wanted = _change_endpoint(_Endpoint(""), place.platform, {"Token": token, **attributes})
        while True:
            token_key = place.key(_TOKENS, application.prefix + wanted.token)
            owner_id = await self._store.get_document(token_key)
            if owner_id is not None:
                owner = place._replace(endpoint_id=owner_id)
                stored = await self._stored(owner)
                if stored is not None:
                    if stored.endpoint != wanted:
                        raise _token_taken(owner)
                    return owner.endpoint_arn
            created = place._replace(endpoint_id=self._ids.uuid())
            endpoint_key = created.key(_ENDPOINTS, application.prefix + created.endpoint_id)
            if await self._change(
                # as it was: so that it is still there
                DocumentChange(place.application_key, application_text, application_text),
                DocumentChange(token_key, owner_id, created.endpoint_id),
                DocumentChange(endpoint_key, None, wanted.text()),
            ):
                await self._announce(application, "EndpointCreated", wanted.at(created))
                return created.endpoint_arn
            application, application_text = await self._application(place)

    async def delete_endpoint(self, caller: Caller, arn: str) -> None:
        """Remove an endpoint; one that is not there does not matter."""
        place = _read_endpoint_arn(caller, arn, "DeleteEndpoint")
        while True:
            stored = await self._stored(place)
            if stored is None:
                return
            token = stored.application.prefix + stored.endpoint.token
            if await self._change(
                DocumentChange(stored.endpoint_key, stored.endpoint_text, None),
                DocumentChange(place.key(_TOKENS, token), place.endpoint_id, None),
            ):
                await self._announce(
                    stored.application, "EndpointDeleted", stored.endpoint.at(place)
                )
                return

    async def endpoint_attributes(self, caller: Caller, arn: str) -> dict[str, str]:
        """The attributes of an endpoint; raises ``NotFound``."""
        place = _read_endpoint_arn(caller, arn, "GetEndpointAttributes")
        stored = await self._stored(place)
        if stored is None:
            raise NotFound("Endpoint does not exist")
        return stored.endpoint.at(place).attributes

    async def set_endpoint_attributes(
        self, caller: Caller, arn: str, attributes: Mapping[str, str]
    ) -> None:
        """Change attributes of an endpoint, all that are given or none; raises ``NotFound``."""
        place = _read_endpoint_arn(caller, arn, "SetEndpointAttributes")
        if not attributes:
            raise NullMember("attributes")
        while True:
            stored = await self._stored(place)
            if stored is None:
                raise NotFound("Endpoint does not exist")
            changed = _change_endpoint(stored.endpoint, place.platform, attributes)
            if changed == stored.endpoint or await self._replace_endpoint(place, stored, changed):
                break
        if changed != stored.endpoint:
            await self._announce(stored.application, "EndpointUpdated", changed.at(place))

    async def _replace_endpoint(self, place: _Place, stored: _Stored, changed: _Endpoint) -> bool:
        """Whether an endpoint is changed now; raises ``InvalidParameter`` for another's token."""
        changes = [DocumentChange(stored.endpoint_key, stored.endpoint_text, changed.text())]
        if changed.token != stored.endpoint.token:
            old_key, new_key = (
                place.key(_TOKENS, stored.application.prefix + token)
                for token in (stored.endpoint.token, changed.token)
            )
            owner_id = await self._store.get_document(new_key)
            if owner_id is not None:
                raise _token_taken(place._replace(endpoint_id=owner_id))
            changes.append(DocumentChange(old_key, place.endpoint_id, None))
            changes.append(DocumentChange(new_key, None, place.endpoint_id))
        return await self._change(*changes)

    async def endpoints(
        self, caller: Caller, application_arn: str, next_token: str | None
    ) -> tuple[list[PlatformEndpoint], str | None]:
        """The endpoints of an application, and the token of the next page if there is one."""
        place = _read_application_arn(caller, application_arn, "ListEndpointsByPlatformApplication")
        application, _ = await self._application(place)
        documents, token = await self._page(place, _ENDPOINTS, application.prefix, next_token)
        found = [
            _Endpoint.read(text).at(
                place._replace(endpoint_id=name.removeprefix(application.prefix))
            )
            for name, text in documents
        ]
        return found, token

    # --- publishing -----------------------------------------------------------------------------

    async def endpoint(self, arn: str) -> PlatformEndpoint | None:
        """The endpoint of that ARN, whoever's it is; None if it is not there."""
        place = _parse_endpoint_arn(arn)
        stored = None if place is None else await self._stored(place)
        return None if place is None or stored is None else stored.endpoint.at(place)

    async def application_enabled(self, arn: str) -> bool:
        """Whether the application of that ARN is there, and takes messages."""
        place = _parse_application_arn(arn)
        text = None if place is None else await self._store.get_document(place.application_key)
        return text is not None and _Application.read(text).attributes["Enabled"] == "true"

    async def disable(self, arn: str) -> None:
        """Have an endpoint take no more messages, as its push service knows it no longer (9.2)."""
        place = _parse_endpoint_arn(arn)
        while place is not None:
            stored = await self._stored(place)
            if stored is None:
                return
            changed = dataclasses.replace(stored.endpoint, enabled=False)
            if changed == stored.endpoint or await self._replace_endpoint(place, stored, changed):
                return

    async def tell_delivery_failure(
        self, arn: str, message_id: str, *, failure_type: str, failure_message: str
    ) -> None:
        """Announce that a message published directly to an endpoint is given up (9.2)."""
        place = _parse_endpoint_arn(arn)
        stored = None if place is None else await self._stored(place)
        if place is not None and stored is not None:
            await self._announce(
                stored.application,
                "DeliveryFailure",
                stored.endpoint.at(place),
                MessageId=message_id,
                FailureType=failure_type,
                FailureMessage=failure_message,
                Time=timestamp_text(self._clock.now_ms()),
            )

    async def _announce(
        self, application: _Application, event: str, endpoint: PlatformEndpoint, **more: str
    ) -> None:
        """Publish an event if the application has a topic for it.

        An event that cannot be published is lost: what it tells of has happened all the same.
        """
        topic_arn = application.attributes.get(f"Event{event}")
        if topic_arn is None or self.publish_event is None:
            return
        message = {
            "EventType": event,
            "EndpointArn": endpoint.arn,
            "Resource": endpoint.application_arn,
            "Service": "SNS",
            "Attributes": endpoint.attributes,
            **more,
        }
        try:
            await self.publish_event(topic_arn, json.dumps(message, ensure_ascii=False))
        except TopicError as error:
            logger.warning("event %s not published to %s: %s", event, topic_arn, error)

    # --- documents ------------------------------------------------------------------------------

    async def _change(self, *changes: DocumentChange) -> bool:
        return await self._store.change_documents(changes)

    async def _application(self, place: _Place) -> tuple[_Application, str]:
        """An application, and its text in the store; raises ``NotFound``."""
        text = await self._store.get_document(place.application_key)
        if text is None:
            raise NotFound("PlatformApplication does not exist")
        return _Application.read(text), text

    async def _stored(self, place: _Place) -> _Stored | None:
        """An endpoint, if it is there and its application too."""
        application_text = await self._store.get_document(place.application_key)
        if application_text is None:
            return None
        application = _Application.read(application_text)
        endpoint_key = place.key(_ENDPOINTS, application.prefix + place.endpoint_id)
        text = await self._store.get_document(endpoint_key)
        if text is None:
            return None
        return _Stored(application, application_text, _Endpoint.read(text), text, endpoint_key)

    async def _page(
        self, place: _Place, kind: str, prefix: str, next_token: str | None
    ) -> tuple[list[tuple[str, str]], str | None]:
        """A page of documents, and the token of the next one."""
        scope = [kind, place.account, place.region, prefix]
        documents = await self._store.list_documents(
            kind,
            place.account,
            place.region,
            prefix=prefix,
            after=page_after(self._seal, next_token, scope),
            limit=limits.TOPIC_PAGE + 1,
        )
        names, token = page_of(
            self._seal, [name for name, _ in documents], limits.TOPIC_PAGE, scope
        )
        return documents[: len(names)], token


# --- payloads -----------------------------------------------------------------------------------


def check_platform_entry(platform: str, messages: ProtocolMessages) -> None:
    """Refuse a structured message that has nothing for an endpoint it is published to (4.2)."""
    if messages.entry(platform) is None and messages.entry("default") is None:
        raise InvalidParameter.of(f"JSON must contain an entry for 'default' or '{platform}'.")


def platform_payload(platform: str, messages: ProtocolMessages) -> str:
    """What a push service is sent (SNS reference, 4.3 and 9.2).

    The platform's own entry of a structured message goes out as it is; a text for all is wrapped in
    what the platform takes.
    """
    own = messages.entry(platform)
    if own is not None:
        return own
    text = messages.text(platform)
    if platform.startswith(_APPLE):
        return json.dumps({"aps": {"alert": text}}, ensure_ascii=False)
    if platform in ("GCM", "ADM"):
        return json.dumps({"data": {"default": text}}, ensure_ascii=False)
    return text


# --- names --------------------------------------------------------------------------------------


def _check_name(name: str) -> None:
    """Refuse the name of an application; the texts have the name itself in front [AWS]."""
    problem = None
    if not name:
        problem = "cannot be empty"
    elif len(name) > _NAME_CHARACTERS_MAX:
        problem = f"must be at most {_NAME_CHARACTERS_MAX} characters long"
    elif not _NAME.fullmatch(name):
        problem = "must contain only characters 'a'-'z', 'A'-'Z', '0'-'9', '_', '-', and '.'"
    if problem is not None:
        raise InvalidParameter.of(f"{name} Reason: {problem}")


def _parse_arn(arn: str) -> tuple[_Place, list[str]] | None:
    """Where an ARN of SNS leads, and the parts of its relative portion."""
    parsed = parse_arn(arn)
    if parsed is None or parsed[0] != "sns":
        return None
    key = parsed[1]
    return _Place(key.account, key.region, "", ""), key.name.split("/")


def _parse_application_arn(arn: str) -> _Place | None:
    match _parse_arn(arn):
        case (place, ["app", platform, name]):
            return place._replace(platform=platform, name=name)
    return None


def _parse_endpoint_arn(arn: str) -> _Place | None:
    match _parse_arn(arn):
        case (place, ["endpoint", platform, name, endpoint_id]):
            return place._replace(platform=platform, name=name, endpoint_id=endpoint_id)
    return None


def platform_of(endpoint_arn: str) -> str:
    """The platform of an endpoint, as its ARN says it; empty for what is no endpoint's ARN."""
    place = _parse_endpoint_arn(endpoint_arn)
    return "" if place is None else place.platform


def _read_application_arn(caller: Caller, arn: str, action: str) -> _Place:
    """The application that an ARN in a request names."""
    _check_slashes(arn, "PlatformApplicationArn", 2)
    return _own(caller, arn, _parse_application_arn(arn), "PlatformApplicationArn", action)


def _read_endpoint_arn(caller: Caller, arn: str, action: str) -> _Place:
    """The endpoint that an ARN in a request names."""
    _check_slashes(arn, "EndpointArn", 3)
    return _own(caller, arn, _parse_endpoint_arn(arn), "EndpointArn", action)


def _check_slashes(arn: str, parameter: str, slashes: int) -> None:
    relative = ":".join(arn_parts(arn, parameter)[5:])
    if relative.count("/") != slashes:
        raise InvalidParameter.of(
            f"{parameter} Reason: Wrong number of slashes in relative portion of the ARN."
        )


def _own(caller: Caller, arn: str, place: _Place | None, parameter: str, action: str) -> _Place:
    """A place of the caller's own; one of another region is refused as with topics (1.7)."""
    if place is None or place.region != caller.region:
        raise InvalidParameter.of(parameter)
    if place.account != caller.account:
        raise AuthorizationError(
            f"User: {caller.principal} is not authorized to perform: SNS:{action}"
            f" on resource: {arn}"
        )
    return place


def _token_taken(owner: _Place) -> InvalidParameter:
    return InvalidParameter.of(
        f"Token Reason: Endpoint {owner.endpoint_arn} already exists with the same Token,"
        " but different attributes."
    )


# --- attributes ---------------------------------------------------------------------------------


def _invalid_value(name: str, rule: str) -> InvalidParameter:
    return InvalidParameter.of(f"Attributes Reason: Invalid value for attribute: {name}: {rule}")


def _check_names(attributes: Mapping[str, str], known: frozenset[str]) -> None:
    for name in attributes:
        if name not in known:
            raise InvalidParameter.of(f"Attributes Reason: Invalid attribute name: {name}")


def _read_boolean(name: str, value: str) -> str:
    if value.lower() not in ("true", "false"):
        raise _invalid_value(name, "must be true or false")
    return value.lower()


def _read_application_attributes(attributes: Mapping[str, str]) -> dict[str, str]:
    """Attributes of an application in the form in which they are kept; empty: to be unset."""
    _check_names(attributes, _APPLICATION_ATTRIBUTES)
    read = dict(attributes)
    for name, value in attributes.items():
        if name == "Enabled":
            read[name] = _read_boolean(name, value)
        elif name == "SuccessFeedbackSampleRate" and value:
            if not _SAMPLE_RATE.fullmatch(value) or int(value) > _SAMPLE_RATE_MAX:
                raise _invalid_value(name, f"must be an integer from 0 to {_SAMPLE_RATE_MAX}")
        elif name in _EVENTS and value:
            parsed = parse_arn(value)
            if parsed is None or parsed[0] != "sns" or "" in parsed[1]:
                raise _invalid_value(name, "must be the ARN of a topic")
    return read


def _check_credentials(platform: str, attributes: Mapping[str, str]) -> None:
    """Refuse one half of the credentials; for GCM there is only the one."""
    principal, credential = "PlatformPrincipal", "PlatformCredential"
    present, absent = principal, credential
    if attributes.get(credential):
        if attributes.get(principal) or platform == "GCM":
            return
        present, absent = credential, principal
    elif not attributes.get(principal):
        raise InvalidParameter.of(f"Attributes Reason: {credential} attribute is required")
    raise InvalidParameter.of(f"Attributes Reason: {present} attribute provided without {absent}")


def _about_credentials(platform: str, attributes: Mapping[str, str]) -> dict[str, str]:
    """What is told of the credentials that are never told themselves."""
    if platform == "GCM":
        key_file = attributes["PlatformCredential"].lstrip().startswith("{")
        return {"AuthenticationMethod": "token" if key_file else "key"}
    if not platform.startswith(_APPLE):
        return {}
    principal = attributes["PlatformPrincipal"]
    if _APPLE_KEY_ID.fullmatch(principal):
        return {"AuthenticationMethod": "token"}
    about = {"AuthenticationMethod": "certificate"}
    expiry = _expiry(principal)
    if expiry is not None:
        about["AppleCertificateExpiryDate"] = expiry
    return about


def _expiry(certificate_pem: str) -> str | None:
    """Until when a certificate is valid; None for what is none."""
    from cryptography import x509  # here, as loading it takes long and few need it

    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
    except (ValueError, x509.InvalidVersion):
        return None
    return f"{certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}"


def _change_endpoint(
    endpoint: _Endpoint, platform: str, attributes: Mapping[str, str]
) -> _Endpoint:
    """An endpoint with other attributes; raises ``InvalidParameter``."""
    _check_names(attributes, _ENDPOINT_ATTRIBUTES)
    changed = endpoint
    for name, value in attributes.items():
        if name == "Enabled":
            changed = dataclasses.replace(changed, enabled=_read_boolean(name, value) == "true")
        elif name == "Token":
            if not value:
                raise InvalidParameter.of("Token Reason: cannot be empty")
            token = value.lower() if platform.startswith(_APPLE) else value
            changed = dataclasses.replace(changed, token=token)
        else:
            if len(value.encode("utf-8", "surrogatepass")) > _USER_DATA_BYTES_MAX:
                raise _invalid_value(
                    name,
                    f"must be at most {_USER_DATA_BYTES_MAX} bytes long in UTF-8 encoding",
                )
            changed = dataclasses.replace(changed, custom_user_data=value or None)
    return changed
