"""All settings, each declared once: options, environment variables and help follow from it.

The only reader of the environment.
"""

import difflib
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.fields import FieldInfo

ENVIRONMENT_PREFIX = "HEADRACE_"


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
            description="region of calls whose credentials name none",
        ),
    ] = "us-east-1"
    account: Annotated[
        str,
        Field(
            pattern=r"^[0-9]{12}$",
            description="account of calls whose access key id is not a 12-digit account id",
        ),
    ] = "000000000000"
    public_url: Annotated[
        str | None,
        Field(
            pattern=r"^https?://[^/?#\s]+$",
            examples=["URL"],
            description="what QueueUrls begin with, such as https://sqs.example.com;"
            " by default what the client called (its Host header)",
        ),
    ] = None
    signing_cert_url: Annotated[
        str | None,
        Field(
            pattern=r"^https?://[^/?#\s]+$",
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
            pattern=r"^https?://[^/?#\s]+$",
            examples=["URL"],
            description="where functions are invoked by the Lambda API; without it their"
            " deliveries wait in the outbox",
        ),
    ] = None
    lambda_function: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z0-9_-]{1,64}$",
            examples=["NAME"],
            description="invoke every function by this name: the runtime interface emulator knows"
            " one, called function",
        ),
    ] = None
    firehose_endpoint: Annotated[
        str | None,
        Field(
            pattern=r"^https?://[^/?#\s]+$",
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
    recreate_delay: Annotated[
        bool,
        Field(
            description="true: refuse to create a queue within 60 s of its deletion, as AWS does"
        ),
    ] = False
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="least level logged")
    ] = "info"
    log_format: Annotated[
        Literal["text", "json"], Field(description="one line of text, or one JSON object, each")
    ] = "text"

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


def read_settings(options: Mapping[str, str], environment: Mapping[str, str]) -> Settings:
    """Settings from options (by field name), else the environment, else the defaults.

    Raises ``SettingsError``, also for a ``HEADRACE_`` variable that does not exist: a typo there
    must not pass in silence.
    """
    known = {environment_name(field): field for field in Settings.model_fields}
    given: dict[str, str] = {}
    source: dict[str, str] = {}
    for name, value in environment.items():
        if not name.startswith(ENVIRONMENT_PREFIX):
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
        expected = choices(Settings.model_fields[field])
        free = expected in _FREE
        said = problem["msg"].removeprefix("Value error, ") if free else f"use {expected}"
        shown = "" if field in _SECRET else f" {given[field]!r}"
        raise SettingsError(f"{source[field]}{shown}: {said}") from None
