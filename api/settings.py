"""All settings, each declared once: options, environment variables and help follow from it.

The only reader of the environment.
"""

import difflib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.config import JsonDict
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

ENVIRONMENT_PREFIX = "HEADRACE_"
#: what ``headrace exec`` tells its command
URL_VARIABLE = f"{ENVIRONMENT_PREFIX}URL"

#: what Kubernetes tells each container of a Service that is called headrace
_SERVICE_LINK = re.compile(r"HEADRACE_(SERVICE_(HOST|PORT\w*)|PORT_\d+_\w+)")
_SERVICE_LINK_VALUE = re.compile(r"(tcp|udp)://\S+")

_BASE_URL = r"^https?://[^/?#\s]+$"
_BASE_URL_WANTED: JsonDict = {"wanted": "http(s)://host[:port]"}


class SettingsError(Exception):
    """A setting that cannot be used; the text is one line that says which, and where it is from."""


class Settings(BaseModel):
    """How a server is run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: Annotated[
        str, Field(min_length=1, description="address to listen on", examples=["ADDRESS"])
    ] = "127.0.0.1"
    port: Annotated[
        int, Field(ge=0, le=65_535, description="port to listen on; 0: any free one")
    ] = 4566
    also_port: Annotated[
        tuple[Annotated[int, Field(ge=0, le=65_535)], ...] | None,
        Field(
            examples=["PORT,PORT"],
            description="further ports to listen on, such as 9324,4100, which clients of ElasticMQ"
            " and GoAWS call",
        ),
    ] = None
    store: Annotated[
        str,
        Field(
            pattern=r"^(memory|sqlite:.+)$",
            examples=["memory|sqlite:PATH"],
            description="where messages are kept: memory (gone with the process) or sqlite:PATH",
        ),
    ] = "sqlite:data/headrace.db"
    durability: Annotated[
        Literal["strict", "relaxed"],
        Field(
            description="strict: an answer means it is on disk (fsync). relaxed: it survives a"
            " crash of Headrace, but a power cut may take the latest"
        ),
    ] = "strict"
    region: Annotated[
        str,
        Field(
            pattern=r"^[a-z][a-z0-9-]{0,31}$",
            json_schema_extra={"wanted": "a region such as us-east-1"},
            description="region of calls whose credentials name none",
        ),
    ] = "us-east-1"
    account: Annotated[
        str,
        Field(
            pattern=r"^[0-9]{12}$",
            json_schema_extra={"wanted": "12 digits"},
            description="account of calls whose access key id is not a 12-digit account id",
        ),
    ] = "000000000000"
    public_url: Annotated[
        str | None,
        Field(
            pattern=_BASE_URL,
            json_schema_extra=_BASE_URL_WANTED,
            examples=["URL"],
            description="what QueueUrls and the links of SNS begin with, such as"
            " https://sqs.example.com; by default what the client called (its Host header)",
        ),
    ] = None
    queue_urls: Annotated[
        Literal["auto", "standard", "domain", "path", "off", "dynamic"],
        Field(
            description="shape of QueueUrls. auto: /ACCOUNT/NAME, and /queue/REGION/ACCOUNT/NAME"
            " in regions other than the default one; else as LocalStack's SQS_ENDPOINT_STRATEGY"
        ),
    ] = "auto"
    signing_cert_url: Annotated[
        str | None,
        Field(
            pattern=_BASE_URL,
            json_schema_extra=_BASE_URL_WANTED,
            examples=["URL"],
            description="what the SigningCertURL of SNS messages begins with, for verifiers that"
            " insist on a host, such as https://sns.us-east-1.amazonaws.com;"
            " by default what other links do",
        ),
    ] = None
    smtp: Annotated[
        str | None,
        Field(
            examples=["URL"],
            description="mail server for SNS e-mail: smtp://[user:password@]host[:port] or"
            " smtps://, with ?starttls=true if wanted; without one mail waits in the outbox",
        ),
    ] = None
    mail_from: Annotated[str, Field(examples=["ADDRESS"], description="sender of SNS e-mail")] = (
        "no-reply@sns.amazonaws.com"
    )
    lambda_endpoint: Annotated[
        str | None,
        Field(
            pattern=_BASE_URL,
            json_schema_extra=_BASE_URL_WANTED,
            examples=["URL"],
            description="where functions are invoked by the Lambda API; without it their"
            " deliveries wait in the outbox",
        ),
    ] = None
    lambda_function: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z0-9_-]{1,64}$",
            json_schema_extra={"wanted": "up to 64 letters, digits, - and _"},
            examples=["NAME"],
            description="invoke every function by this name: the runtime interface emulator knows"
            " one, called function",
        ),
    ] = None
    firehose_endpoint: Annotated[
        str | None,
        Field(
            pattern=_BASE_URL,
            json_schema_extra=_BASE_URL_WANTED,
            examples=["URL"],
            description="where records are put by the Firehose API",
        ),
    ] = None
    firehose_folder: Annotated[
        str | None,
        Field(
            min_length=1,
            examples=["FOLDER"],
            description="append Firehose records to FOLDER/<delivery stream>.ndjson instead",
        ),
    ] = None
    phone_webhook: Annotated[
        str | None,
        Field(
            pattern=r"^https?://[^\s]+$",
            json_schema_extra={"wanted": "http(s)://host[:port]/path"},
            examples=["URL"],
            description="where SMS and mobile push are posted as JSON; they are in the outbox in"
            " any case",
        ),
    ] = None
    ca_file: Annotated[
        str | None,
        Field(
            min_length=1,
            examples=["FILE"],
            description="certificates (PEM) of further authorities that https endpoints may have",
        ),
    ] = None
    tls_verify: Annotated[
        bool,
        Field(
            description="false: deliver to https endpoints and mail servers with any certificate"
        ),
    ] = True
    clock: Annotated[
        Literal["system", "frozen"],
        Field(description="frozen: time stands still until it is advanced over /_headrace/clock"),
    ] = "system"
    recreate_delay: Annotated[
        bool,
        Field(
            description="true: refuse to create a queue within 60 s of its deletion, as AWS does"
        ),
    ] = False
    config: Annotated[
        str | None,
        Field(
            min_length=1,
            examples=["FILE"],
            description="queues, topics and subscriptions that are to be there: YAML or JSON, or an"
            " elasticmq.conf or goaws.yaml",
        ),
    ] = None
    reconcile: Annotated[
        Literal["create", "update", "exact"],
        Field(
            description="what --config may do to what exists. create: nothing, only tell"
            " differences. update: change it. exact: also delete what is not declared"
        ),
    ] = "create"
    init_folder: Annotated[
        str | None,
        Field(
            min_length=1,
            examples=["FOLDER"],
            description="scripts (.sh, .py) to run in order at the start, before Headrace is"
            " healthy; by default those of /etc/localstack/init/ready.d and the like",
        ),
    ] = None
    init_failure: Annotated[
        Literal["stop", "continue"],
        Field(description="what happens when such a script fails: Headrace ends, or goes on"),
    ] = "stop"
    compat: Annotated[
        Literal["on", "off"],
        Field(
            description="on: heed the variables and files of LocalStack, ElasticMQ, GoAWS and"
            " others, as far as they apply"
        ),
    ] = "on"
    timeline_events: Annotated[
        int,
        Field(
            ge=0,
            le=10_000_000,
            description="how many events in the lives of messages are kept in memory; 0: none",
        ),
    ] = 100_000
    admin: Annotated[
        bool,
        Field(
            description="false: nothing under /_headrace/ but health, nothing under /_aws/, no"
            " /metrics"
        ),
    ] = True
    access_log: Annotated[
        bool, Field(description="true: log a line for each request, at level info")
    ] = False
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="least level logged")
    ] = "info"
    log_format: Annotated[
        Literal["text", "json"], Field(description="one line of text, or one JSON object, each")
    ] = "text"

    @field_validator("also_port", mode="before")
    @classmethod
    def _separate_ports(cls, value: Any) -> Any:
        return value.split(",") if isinstance(value, str) else value

    @field_validator(
        "public_url", "signing_cert_url", "lambda_endpoint", "firehose_endpoint", mode="before"
    )
    @classmethod
    def _without_slash(cls, url: Any) -> Any:
        return url.removesuffix("/") if isinstance(url, str) else url

    @field_validator("smtp")
    @classmethod
    def _is_a_mail_server(cls, url: str | None) -> str | None:
        if url is not None:
            # imported here, as below: --help should not wait for the whole broker
            from broker import MailServer

            MailServer.parse(url)
        return url

    @field_validator("mail_from")
    @classmethod
    def _is_a_mail_address(cls, address: str) -> str:
        from broker import check_email_endpoint

        if not check_email_endpoint(address):
            raise ValueError("not an e-mail address")
        return address

    @field_validator("phone_webhook")
    @classmethod
    def _is_a_webhook(cls, url: str | None) -> str | None:
        if url is not None:
            from broker import is_http_endpoint

            if not is_http_endpoint(url):
                raise ValueError("not a URL that a request can be sent to")
        return url

    @field_validator("ca_file")
    @classmethod
    def _is_a_file(cls, path: str | None) -> str | None:
        if path is not None:
            from ssl import create_default_context

            try:
                create_default_context(cafile=path)
            except OSError as error:  # of which SSL's own errors are some
                raise ValueError(error.strerror or str(error)) from None
        return path


#: kinds of values of which not everything can be listed
_FREE = ("N", "TEXT", "ADDRESS", "URL", "NAME", "FILE", "FOLDER")
#: what may hold a password is not repeated
_SECRET = ("smtp", "lambda_endpoint", "firehose_endpoint", "phone_webhook")


def option_name(field: str) -> str:
    """``public_url`` -> ``--public-url``."""
    return "--" + field.replace("_", "-")


def environment_name(field: str) -> str:
    """``public_url`` -> ``HEADRACE_PUBLIC_URL``."""
    return ENVIRONMENT_PREFIX + field.upper()


def choices(field: FieldInfo) -> str:
    """What may be given, for the help: alternatives, or the kind of value."""
    if field.examples:
        return str(field.examples[0])
    annotation = field.annotation
    literals = getattr(annotation, "__args__", None)
    if literals and all(isinstance(each, str) for each in literals):
        return "|".join(literals)
    if annotation is bool:
        return "true|false"
    return "N" if annotation is int else "TEXT"


def _said(problem: ErrorDetails, field: FieldInfo) -> str:
    """Why a value is refused, or what to give instead."""
    extra, expected = field.json_schema_extra, choices(field)
    if problem["type"] == "string_pattern_mismatch" and isinstance(extra, dict):
        return f"use {extra['wanted']}"
    if expected in _FREE:
        return problem["msg"].removeprefix("Value error, ")
    return f"use {expected}"


class Carried(NamedTuple):
    """A setting that was meant for another broker."""

    value: str
    source: str  # a variable, or a file


def is_service_link(name: str, value: str) -> bool:
    """Whether a variable is Kubernetes' word on where a Service called headrace is."""
    is_address = name == environment_name("port") and _SERVICE_LINK_VALUE.fullmatch(value)
    return bool(is_address or _SERVICE_LINK.fullmatch(name))


def read_settings(
    options: Mapping[str, str],
    environment: Mapping[str, str],
    carried: Mapping[str, Carried] | None = None,
) -> Settings:
    """Settings from options (by field name), else the environment, else the defaults.

    ``carried``: what holds instead of a default, by field name.  Raises ``SettingsError``, also for
    a ``HEADRACE_`` variable that does not exist: a typo there must not pass in silence.
    """
    known = {environment_name(field): field for field in Settings.model_fields}
    given = {field: each.value for field, each in (carried or {}).items()}
    source = {field: each.source for field, each in (carried or {}).items()}
    for name, value in environment.items():
        if not name.startswith(ENVIRONMENT_PREFIX) or name == URL_VARIABLE:
            continue
        if is_service_link(name, value):
            continue
        if name not in known:
            # compared without the prefix, which would make any two names look alike
            fields = [field.upper() for field in Settings.model_fields]
            nearest = difflib.get_close_matches(name.removeprefix(ENVIRONMENT_PREFIX), fields, n=1)
            hint = f"; did you mean {environment_name(nearest[0])}?" if nearest else ""
            raise SettingsError(f"there is no setting {name}{hint}")
        given[known[name]] = value
        source[known[name]] = name
    for field, value in options.items():
        given[field] = value
        source[field] = option_name(field)
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        field = str(problem["loc"][0])
        said = _said(problem, Settings.model_fields[field])
        shown = "" if field in _SECRET else f" {given[field]!r}"
        raise SettingsError(f"{source[field]}{shown}: {said}") from None
