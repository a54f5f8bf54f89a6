"""The format of a file of declared resources; its JSON Schema follows from these models.

They say what an attribute may be written as.  Which values it may have is for the broker to say.
"""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"([0-9]{1,10})([smhdw]?)", re.ASCII)
_FEEDBACK_OF_AN_ABBREVIATION = re.compile(r"(http|sqs)(?=(Success|Failure)Feedback)")


# --- values -------------------------------------------------------------------------------------


def _seconds(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _DURATION.fullmatch(value.replace(" ", "")) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be a number of seconds, or a text such as 30s, 5m, 12h, 4d, 2w")
    return int(match[1]) * _UNITS_S[match[2] or "s"]


def _whole_number(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,10}", value, re.ASCII):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be a whole number")
    return value


def _boolean(value: Any) -> Any:
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _text(value: Any) -> Any:
    """A text; numbers and booleans are taken as what they would be in quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if not isinstance(value, str):
        raise ValueError("must be a text")
    return value


def _document(value: Any) -> Any:
    """A JSON document as text, from an object or from text."""
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    if not isinstance(value, str):
        raise ValueError("must be a mapping, or JSON in a text")
    return value


def _account(value: str) -> str:
    if not re.fullmatch(r"[0-9]{12}", value, re.ASCII):
        raise ValueError("an account has 12 digits")
    return value


def _region(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,31}", value, re.ASCII):
        raise ValueError("a region is named like us-east-1")
    return value


def _or_empty(value: Any) -> Any:
    return {} if value is None else value


def _or_none(value: Any) -> Any:
    return [] if value is None else value


Seconds = Annotated[
    int,
    BeforeValidator(_seconds),
    WithJsonSchema(
        {
            "type": ["integer", "string"],
            "pattern": f"^{_DURATION.pattern}$",
            "description": "seconds, or a text such as 30s, 5m, 12h, 4d, 2w",
        }
    ),
]
Number = Annotated[
    int,
    BeforeValidator(_whole_number),
    WithJsonSchema({"type": ["integer", "string"], "pattern": "^-?[0-9]+$"}),
]
Boolean = Annotated[
    bool,
    BeforeValidator(_boolean),
    WithJsonSchema({"enum": [True, False, "true", "false"]}),
]
Text = Annotated[
    str,
    BeforeValidator(_text),
    WithJsonSchema({"type": ["string", "number", "boolean"]}),
]
Document = Annotated[
    str,
    BeforeValidator(_document),
    WithJsonSchema({"type": ["object", "string"], "description": "an object, or JSON in a text"}),
]
AccountId = Annotated[
    str,
    BeforeValidator(_text),
    AfterValidator(_account),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{12}$"}),
]
RegionName = Annotated[
    str,
    BeforeValidator(_text),
    AfterValidator(_region),
    WithJsonSchema({"type": "string", "pattern": "^[a-z][a-z0-9-]{0,31}$"}),
]
Tags = Annotated[dict[str, Text], BeforeValidator(_or_empty)]


# --- resources ----------------------------------------------------------------------------------


def aws_name(alias: str) -> str:
    """What AWS calls the attribute that a file calls ``alias``."""
    cased = _FEEDBACK_OF_AN_ABBREVIATION.sub(lambda match: match[1].upper(), alias)
    return cased[0].upper() + cased[1:]


class _Declared(BaseModel):
    """Keys are camelCase; those that are AWS attributes may be spelt as AWS does."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)

    #: fields that are no AWS attributes
    no_attributes: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def attribute_fields(cls) -> dict[str, str]:
        """The fields of AWS attributes, and the names of these."""
        return {
            name: aws_name(to_camel(name))
            for name in cls.model_fields
            if name not in cls.no_attributes
        }

    @classmethod
    def key_names(cls) -> list[str]:
        """The keys that a file may use, as camelCase."""
        return [field.alias or name for name, field in cls.model_fields.items()]

    @property
    def attributes(self) -> dict[str, str]:
        """The attributes that are given, as AWS takes them."""
        return {
            aws: _text(value)
            for name, aws in self.attribute_fields().items()
            if (value := getattr(self, name)) is not None
        }

    @model_validator(mode="before")
    @classmethod
    def _read_names_of_aws(cls, data: Any) -> Any:
        if data is None:
            return {}
        if not isinstance(data, dict):
            return data
        aliases = {aws: to_camel(name) for name, aws in cls.attribute_fields().items()}
        return {
            key if aliases.get(key, key) in data else aliases[key]: value
            for key, value in data.items()
        }

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Without what editors need not know, and with the names of AWS."""
        schema = handler(core_schema)
        resolved = handler.resolve_ref_schema(schema)
        properties = {key: _stripped(each) for key, each in resolved["properties"].items()}
        for name, aws in cls.attribute_fields().items():
            properties[aws] = properties[to_camel(name)]
        resolved["properties"] = properties
        if not resolved.keys() & {"required", "anyOf"}:
            resolved["type"] = ["object", "null"]  # a name with nothing behind it
        return schema


def _stripped(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A property's schema without title, default, and null as one of two choices."""
    kept = {key: each for key, each in schema.items() if key not in ("title", "default", "anyOf")}
    choices = [each for each in schema.get("anyOf", []) if each != {"type": "null"}]
    return {**choices[0], **kept} if choices else kept


class DeadLetterQueue(_Declared):
    """The queue, of the same account and region, that takes what was received too often."""

    no_attributes = frozenset({"name", "max_receive_count"})

    name: Text
    max_receive_count: Number


class Queue(_Declared):
    """A queue; FIFO if its name ends with .fifo."""

    no_attributes = frozenset({"dead_letter_queue", "tags"})

    visibility_timeout: Seconds | None = None
    maximum_message_size: Number | None = None
    message_retention_period: Seconds | None = None
    delay_seconds: Seconds | None = None
    receive_message_wait_time_seconds: Seconds | None = None
    policy: Document | None = None
    redrive_policy: Document | None = None
    redrive_allow_policy: Document | None = None
    sqs_managed_sse_enabled: Boolean | None = None
    kms_master_key_id: Text | None = None
    kms_data_key_reuse_period_seconds: Seconds | None = None
    fifo_queue: Boolean | None = None
    content_based_deduplication: Boolean | None = None
    deduplication_scope: Text | None = None
    fifo_throughput_limit: Text | None = None
    dead_letter_queue: DeadLetterQueue | None = None
    tags: Tags = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_one_redrive_policy(self) -> "Queue":
        if self.dead_letter_queue is not None and self.redrive_policy is not None:
            raise ValueError("give deadLetterQueue or redrivePolicy, not both")
        return self


class Subscription(_Declared):
    """A subscription to the topic it stands in: a queue, or a protocol and an endpoint."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [{"required": ["queue"]}, {"required": ["protocol", "endpoint"]}]
        }
    )

    no_attributes = frozenset({"queue", "protocol", "endpoint", "raw", "dead_letter_queue"})

    queue: Text | None = Field(
        default=None, description="a queue of the same account and region, by its name"
    )
    protocol: Text | None = None
    endpoint: Text | None = None
    raw: Boolean | None = Field(default=None, description="the same as rawMessageDelivery")
    raw_message_delivery: Boolean | None = None
    filter_policy: Document | None = None
    filter_policy_scope: Text | None = None
    delivery_policy: Document | None = None
    dead_letter_queue: Text | None = Field(
        default=None, description="a queue of the same account and region, by its name"
    )
    redrive_policy: Document | None = None
    replay_policy: Document | None = None
    subscription_role_arn: Text | None = None

    @model_validator(mode="after")
    def _is_unambiguous(self) -> "Subscription":
        if self.queue is None and (self.protocol is None or self.endpoint is None):
            raise ValueError("give queue, or protocol and endpoint")
        if self.queue is not None and (self.protocol is not None or self.endpoint is not None):
            raise ValueError("give queue, or protocol and endpoint, not both")
        if self.protocol == "application":
            raise ValueError("endpoints of mobile applications are not declared, but made by calls")
        if self.raw is not None and self.raw_message_delivery is not None:
            raise ValueError("give raw or rawMessageDelivery, not both")
        if self.dead_letter_queue is not None and self.redrive_policy is not None:
            raise ValueError("give deadLetterQueue or redrivePolicy, not both")
        return self

    @property
    def attributes(self) -> dict[str, str]:
        """The attributes that are given, as AWS takes them."""
        given = super().attributes
        if self.raw is not None:
            given["RawMessageDelivery"] = _text(self.raw)
        return given


class Topic(_Declared):
    """A topic; FIFO if its name ends with .fifo."""

    no_attributes = frozenset({"data_protection_policy", "tags", "subscriptions"})

    display_name: Text | None = None
    policy: Document | None = None
    delivery_policy: Document | None = None
    signature_version: Text | None = None
    tracing_config: Text | None = None
    kms_master_key_id: Text | None = None
    maximum_message_size: Number | None = None
    fifo_topic: Boolean | None = None
    content_based_deduplication: Boolean | None = None
    fifo_throughput_scope: Text | None = None
    archive_policy: Document | None = None
    http_success_feedback_role_arn: Text | None = None
    http_failure_feedback_role_arn: Text | None = None
    http_success_feedback_sample_rate: Number | None = None
    sqs_success_feedback_role_arn: Text | None = None
    sqs_failure_feedback_role_arn: Text | None = None
    sqs_success_feedback_sample_rate: Number | None = None
    lambda_success_feedback_role_arn: Text | None = None
    lambda_failure_feedback_role_arn: Text | None = None
    lambda_success_feedback_sample_rate: Number | None = None
    firehose_success_feedback_role_arn: Text | None = None
    firehose_failure_feedback_role_arn: Text | None = None
    firehose_success_feedback_sample_rate: Number | None = None
    application_success_feedback_role_arn: Text | None = None
    application_failure_feedback_role_arn: Text | None = None
    application_success_feedback_sample_rate: Number | None = None
    data_protection_policy: Document | None = None
    tags: Tags = Field(default_factory=dict)
    subscriptions: Annotated[list[Subscription], BeforeValidator(_or_none)] = Field(
        default_factory=list
    )


# --- where they are -----------------------------------------------------------------------------


class Region(_Declared):
    """The queues and topics of one account in one region, by their names."""

    no_attributes = frozenset({"queues", "topics"})

    queues: Annotated[dict[str, Queue], BeforeValidator(_or_empty)] | None = None
    topics: Annotated[dict[str, Topic], BeforeValidator(_or_empty)] | None = None


class Account(Region):
    """Queues and topics of one account: of one region, or by region."""

    no_attributes = Region.no_attributes | {"region", "regions"}

    region: RegionName | None = Field(
        default=None, description="of the queues and topics that stand under no region"
    )
    regions: Annotated[dict[RegionName, Region], BeforeValidator(_or_empty)] = Field(
        default_factory=dict
    )


class File(Account):
    """Resources that Headrace makes at its start."""

    model_config = ConfigDict(title="Headrace: declared resources")

    no_attributes = Account.no_attributes | {"schema_", "account", "accounts"}

    schema_: Text | None = Field(default=None, alias="$schema", description="for editors")
    account: AccountId | None = Field(
        default=None, description="of what stands under no account of its own"
    )
    accounts: Annotated[dict[AccountId, Account], BeforeValidator(_or_empty)] = Field(
        default_factory=dict
    )


def schema_text() -> str:
    """The JSON Schema of a file, as it is published."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **File.model_json_schema(),
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
