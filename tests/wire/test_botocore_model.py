"""Our declarations of the operations against AWS's published service model."""

import types
import typing
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple

import pytest
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from botocore.session import Session
from pydantic.fields import FieldInfo

from api.operation import Blob, Boolean, Required, Service, Wire
from api.sns import SNS
from api.sqs import SQS
from api.sts import STS
from api.wire.query import read_request
from api.wire.xml import result_document

#: Where we deviate on purpose: operation, place and what differs, with the reason.  A line that
#: is not needed any more fails ``test_every_listed_omission_is_still_needed``.
OMISSIONS: dict[tuple[str, str, str], str] = {}

_TEXT_OF_BINARY = "base64 is written out when the result is made, so both codecs carry text"
_NO_LISTS = "AWS refuses list values when sending, so no message has any"
_ANSWERED_WITHOUT = "its absence is refused with AWS's words for it, further in"
_MOMENTS_ARE_TEXTS = "Query writes moments in ISO 8601, so the result carries text"
_ALWAYS_THERE = "we always give it; the model leaves AWS the freedom not to"

for _name in ("StringListValues", "BinaryListValues"):
    OMISSIONS["ReceiveMessage", f"out.Messages[].MessageAttributes{{}}.{_name}", "absent"] = (
        _NO_LISTS
    )
OMISSIONS["ReceiveMessage", "out.Messages[].MessageAttributes{}.BinaryValue", "type"] = (
    _TEXT_OF_BINARY
)
for _operation, _places in {
    "SendMessage": ["in.MessageAttributes{}", "in.MessageSystemAttributes{}"],
    "SendMessageBatch": [
        "in.Entries[].MessageAttributes{}",
        "in.Entries[].MessageSystemAttributes{}",
    ],
}.items():
    for _place in _places:
        OMISSIONS[_operation, f"{_place}.DataType", "required"] = _ANSWERED_WITHOUT
for _operation, _places in {
    "CreateQueue": ["QueueUrl"],
    "GetQueueUrl": ["QueueUrl"],
    "SendMessage": ["MessageId", "MD5OfMessageBody"],
    "ReceiveMessage": [f"Messages[].{_n}" for _n in ("MessageId", "ReceiptHandle", "MD5OfBody")]
    + ["Messages[].Body"],
    "CreateTopic": ["TopicArn"],
    "Subscribe": ["SubscriptionArn"],
    "ConfirmSubscription": ["SubscriptionArn"],
    "Publish": ["MessageId"],
    "PublishBatch": [f"Successful[].{_n}" for _n in ("Id", "MessageId")],
}.items():
    for _place in _places:
        OMISSIONS[_operation, f"out.{_place}", "required"] = _ALWAYS_THERE
OMISSIONS["ListOriginationNumbers", "out.PhoneNumbers[].CreatedAt", "type"] = _MOMENTS_ARE_TEXTS
for _place in ("UserId", "Account", "Arn"):
    OMISSIONS["GetCallerIdentity", f"out.{_place}", "required"] = _ALWAYS_THERE


_MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Member(NamedTuple):
    """What is compared of a member: the kind of its value, and whether it must be given."""

    kind: str
    required: bool


_KINDS = {"long": "integer", "timestamp": "integer"}


def _published(shape: Any, place: str) -> Iterator[tuple[str, Member]]:
    """The members of a published shape and of what is in it, by place."""
    if shape is None:
        return
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            kind = _KINDS.get(member.type_name, member.type_name)
            yield f"{place}.{name}", Member(kind, name in shape.required_members)
            yield from _published(member, f"{place}.{name}")
    elif shape.type_name == "list":
        yield from _published_items(shape.member, f"{place}[]")
    elif shape.type_name == "map":
        yield from _published_items(shape.value, f"{place}{{}}")


def _published_items(shape: Any, place: str) -> Iterator[tuple[str, Member]]:
    yield place, Member(_KINDS.get(shape.type_name, shape.type_name), False)
    yield from _published(shape, place)


def _declared(model: type[Wire] | None, place: str) -> Iterator[tuple[str, Member]]:
    """The members of one of our models and of what is in it, by place."""
    if model is None:
        return
    for field_name, field in model.model_fields.items():
        name = f"{place}.{field.alias or field_name}"
        yield from _declared_value(_annotation(field), name, _is_required(field))


def _declared_value(annotation: Any, place: str, required: bool) -> Iterator[tuple[str, Member]]:
    annotation, metadata = _stripped(annotation)
    origin = typing.get_origin(annotation)
    if origin is list:
        yield place, Member("list", required)
        yield from _declared_value(typing.get_args(annotation)[0], f"{place}[]", False)
    elif origin is dict:
        yield place, Member("map", required)
        yield from _declared_value(typing.get_args(annotation)[1], f"{place}{{}}", False)
    elif isinstance(annotation, type) and issubclass(annotation, Wire):
        yield place, Member("structure", required)
        yield from _declared(annotation, place)
    else:
        kinds = {str: "string", int: "integer", bool: "boolean", bytes: "blob"}
        assert annotation is not bytes or metadata == _stripped(Blob)[1], place
        if annotation is bool and place.startswith("in."):
            assert metadata == _stripped(Boolean)[1], place
        yield place, Member(kinds[annotation], required)


def _annotation(field: FieldInfo) -> Any:
    if not field.metadata:
        return field.annotation
    return typing.Annotated[(field.annotation, *field.metadata)]


def _stripped(annotation: Any) -> tuple[Any, list[Any]]:
    """A type without its Annotated and its None, and what was annotated."""
    metadata: list[Any] = []
    while True:
        origin = typing.get_origin(annotation)
        if origin is typing.Annotated:
            annotation, *more = typing.get_args(annotation)
            metadata += more
        elif origin in (typing.Union, types.UnionType):
            [annotation] = [each for each in typing.get_args(annotation) if each is not type(None)]
        else:
            return annotation, metadata


def _is_required(field: FieldInfo) -> bool:
    return field.is_required() or Required in field.metadata


def _differences(service: Service, operation_name: str) -> set[tuple[str, str, str]]:
    """Where our models deviate from AWS's: operation, place and what differs."""
    theirs = _model(service.name).operation_model(operation_name)
    ours = service.operations[operation_name]
    published = {
        **dict(_published(theirs.input_shape, "in")),
        **dict(_published(theirs.output_shape, "out")),
    }
    declared = {**dict(_declared(ours.request, "in")), **dict(_declared(ours.result, "out"))}
    found = {(operation_name, place, "absent") for place in published.keys() - declared.keys()}
    found |= {(operation_name, place, "unknown") for place in declared.keys() - published.keys()}
    # below an absent member everything is absent: say so once
    found = {each for each in found if not any(_is_below(each, other) for other in found)}
    for place in published.keys() & declared.keys():
        if published[place].kind != declared[place].kind:
            found.add((operation_name, place, "type"))
        if published[place].required != declared[place].required:
            found.add((operation_name, place, "required"))
    return found


def _is_below(one: tuple[str, str, str], other: tuple[str, str, str]) -> bool:
    return one[2] == other[2] and one[1].startswith(
        (f"{other[1]}.", f"{other[1]}[", f"{other[1]}{{")
    )


@cache
def _model(service_name: str) -> Any:
    return Session().get_service_model(service_name)


OPERATIONS = [
    *((SQS, name) for name in sorted(SQS.operations)),
    *((SNS, name) for name in sorted(SNS.operations)),
    *((STS, name) for name in sorted(STS.operations)),
]


@pytest.mark.parametrize("service", [SQS, SNS], ids=lambda service: service.name)
def test_a_service_has_exactly_the_published_operations(service: Service) -> None:
    assert set(service.operations) == set(_model(service.name).operation_names)


@pytest.mark.parametrize("service", [SQS, SNS, STS], ids=lambda service: service.name)
def test_the_service_is_labelled_as_published(service: Service) -> None:
    metadata = _model(service.name).metadata
    assert service.version == metadata["apiVersion"]
    assert service.target_prefix == metadata.get("targetPrefix")
    # SQS's model has dropped what only Query needs
    assert service.xml_namespace == metadata.get(
        "xmlNamespace", f"http://queue.amazonaws.com/doc/{service.version}/"
    )


@pytest.mark.parametrize(
    ("service", "name"), OPERATIONS, ids=[f"{service.name}-{name}" for service, name in OPERATIONS]
)
def test_members_are_named_typed_and_required_as_published(service: Service, name: str) -> None:
    """Recursively, input and output, both directions."""
    assert _differences(service, name) - OMISSIONS.keys() == set()


def test_every_listed_omission_is_still_needed() -> None:
    needed = set().union(*(_differences(service, name) for service, name in OPERATIONS))
    assert OMISSIONS.keys() - needed == set()


@pytest.mark.parametrize("service", [SQS, SNS, STS], ids=lambda service: service.name)
def test_operations_without_a_published_result_have_none(service: Service) -> None:
    for name, operation in service.operations.items():
        published = _model(service.name).operation_model(name).output_shape
        assert (operation.result is None) == (published is None), name


# --- how Query spells members -------------------------------------------------------------------


def _sample(shape: Any, name: str) -> Any:
    """A value of a shape, with every member and two items to each list and map."""
    if shape.type_name == "structure":
        return {each: _sample(member, each) for each, member in shape.members.items()}
    if shape.type_name == "list":
        return [_sample(shape.member, f"{name}-{number}") for number in (1, 2)]
    if shape.type_name == "map":
        return {f"{name}.{key}": _sample(shape.value, f"{name}-{key}") for key in ("b", "a")}
    samples = {"boolean": True, "integer": 7, "blob": b"\0\xff", "timestamp": _MOMENT}
    return samples.get(shape.type_name, f"<{name}> & more")


@pytest.mark.parametrize("name", sorted(SNS.operations))
def test_a_request_written_by_botocore_is_read_whole(name: str) -> None:
    published = _model("sns").operation_model(name)
    sample = _sample(published.input_shape, name)
    written = create_serializer("query").serialize_to_request(sample, published)["body"]
    model = SNS.operations[name].request
    read = model.model_validate(read_request(model, written))
    assert read.model_dump(by_alias=True) == sample


@pytest.mark.parametrize(
    "name", sorted(name for name, operation in SNS.operations.items() if operation.result)
)
def test_a_result_is_read_whole_by_botocore(name: str) -> None:
    shape = _model("sns").operation_model(name).output_shape
    sample = _sample(shape, name)
    model = SNS.operations[name].result
    assert model is not None
    document = result_document(SNS, name, model.model_validate(_as_declared(sample)), "id")
    response = {"status_code": 200, "headers": {}, "body": document}
    read = create_parser("query").parse(response, shape)
    assert read.pop("ResponseMetadata")["RequestId"] == "id"
    assert read == sample


def _as_declared(value: Any) -> Any:
    """A published value as our models have it: moments are texts."""
    if isinstance(value, dict):
        return {key: _as_declared(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_as_declared(each) for each in value]
    return value.isoformat() if value is _MOMENT else value
