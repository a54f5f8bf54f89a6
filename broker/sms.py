"""SMS: an account's settings, opt-outs, sandbox and origination numbers (SNS reference, 2.5, 9.1).

All of it is kept as documents, by account and region.
"""

import dataclasses
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self

from broker import limits
from broker.callers import Caller
from broker.clock import Clock
from broker.ids import Ids
from broker.pages import page_after, page_of
from broker.seals import Seal
from broker.topic_errors import (
    InvalidParameter,
    NullMember,
    OptedOut,
    TopicResourceNotFound,
    VerificationFailed,
)
from storage.contract import Storage
from storage.records import MessageAttribute
from storage.topic_records import DocumentChange, DocumentKey

_SETTINGS = "sms-attributes"
_OPT_OUTS = "sms-opt-out"
_OPT_INS = "sms-opt-in"
_SANDBOX = "sms-sandbox"
_SANDBOX_NUMBERS = "sms-sandbox-number"
_ORIGINATION_NUMBERS = "sms-origination-number"

_MARK = "{}"  # a document that says all by being there

MESSAGE_CHARACTERS_MAX = 1_600  # 4.5
SANDBOX_NUMBERS_PAGE_MAX = 100  # 1.5
ORIGINATION_NUMBERS_PAGE_MAX = 30
_OPT_IN_INTERVAL_MS = 30 * 86_400_000  # 2.5
_PASSWORD_DIGITS = 6

_E164 = re.compile(r"\+?[1-9]\d{1,14}", re.ASCII)
_SEPARATED = re.compile(r"\+?\d+([./-]\d+)*", re.ASCII)
_SEPARATOR = re.compile(r"[./-]")
_SANDBOX_NUMBER = re.compile(r"\+[0-9]{8,19}|[0-9]{1,9}", re.ASCII)
_PASSWORD = re.compile(r"[0-9]{5,8}", re.ASCII)
_LANGUAGES = frozenset(
    {
        "en-US",
        "en-GB",
        "es-419",
        "es-ES",
        "de-DE",
        "fr-CA",
        "fr-FR",
        "it-IT",
        "ja-JP",
        "pt-BR",
        "kr-KR",
        "zh-CN",
        "zh-TW",
    }
)
_BADLY_FORMATTED = "PhoneNumber Reason: input incorrectly formatted"
_UNKNOWN_NUMBER = "Phone number does not exist"

_WHOLE = re.compile(r"\d{1,9}", re.ASCII)
_PRICE = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)
_SENDER_ID = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9]{1,11}", re.ASCII)
_ROLE_ARN = re.compile(r"arn:(aws|aws-cn|aws-us-gov):iam::\d{12}:role/\S+", re.ASCII)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,254}", re.ASCII)
_ORIGINATION_NUMBER = re.compile(r"\+?\d{5,14}", re.ASCII)
_TEMPLATE_ID = re.compile(r"[A-Za-z0-9_-]{1,30}", re.ASCII)
_TYPES = ("Promotional", "Transactional")


def _matches(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda value: pattern.fullmatch(value) is not None


#: the settings there are, and which values they take (9.1)
_CHECKS: Mapping[str, Callable[[str], bool]] = {
    "MonthlySpendLimit": _matches(_WHOLE),
    "DeliveryStatusIAMRole": _matches(_ROLE_ARN),
    "DeliveryStatusSuccessSamplingRate": lambda value: (
        _WHOLE.fullmatch(value) is not None and int(value) <= 100
    ),
    "DefaultSenderID": _matches(_SENDER_ID),
    "DefaultSMSType": lambda value: value in _TYPES,
    "UsageReportS3Bucket": _matches(_BUCKET),
}
_UNTOUCHED = {"MonthlySpendLimit": "1"}

#: the message attributes about SMS, and which values they take (9.1)
_MESSAGE_CHECKS: Mapping[str, Callable[[str], bool]] = {
    "AWS.SNS.SMS.SenderID": _matches(_SENDER_ID),
    "AWS.SNS.SMS.MaxPrice": _matches(_PRICE),
    "AWS.SNS.SMS.SMSType": lambda value: value in _TYPES,
    "AWS.MM.SMS.OriginationNumber": _matches(_ORIGINATION_NUMBER),
    "AWS.MM.SMS.EntityId": _matches(_TEMPLATE_ID),
    "AWS.MM.SMS.TemplateId": _matches(_TEMPLATE_ID),
}


class SandboxNumber(NamedTuple):
    """A phone number of the sandbox, as it is listed."""

    phone_number: str
    status: str  # Pending | Verified


@dataclasses.dataclass(frozen=True, slots=True)
class OriginationNumber:
    """A number that an account's messages may come from."""

    phone_number: str
    status: str
    iso2_country_code: str
    route_type: str  # Transactional | Promotional | Premium
    number_capabilities: tuple[str, ...]  # of SMS, MMS, VOICE
    created_at_ms: int | None = None  # set when it is put


class SmsOptions(NamedTuple):
    """How an SMS is to be sent."""

    sms_type: str
    sender_id: str | None = None
    max_price: str | None = None  # USD
    origination_number: str | None = None
    entity_id: str | None = None
    template_id: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class _SandboxEntry:
    """The document of a phone number of the sandbox."""

    one_time_password: str
    language_code: str
    verified: bool = False

    @classmethod
    def read(cls, text: str) -> Self:
        return cls(**json.loads(text))

    def text(self) -> str:
        return json.dumps(dataclasses.asdict(self))


class Sms:
    """Verbs on what an account has for SMS.

    Phone numbers of the opt-out list are kept and told as ``+`` and digits, however they came.
    """

    def __init__(self, store: Storage, clock: Clock, ids: Ids, seal: Seal) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._seal = seal

    # --- settings -------------------------------------------------------------------------------

    async def set_attributes(self, caller: Caller, attributes: Mapping[str, str]) -> None:
        """Change settings, all that are given or none; none can be unset."""
        if not attributes:
            raise NullMember("attributes")
        for name, value in attributes.items():
            check = _CHECKS.get(name)
            if check is None:
                raise InvalidParameter(f"{name} is not a valid attribute")
            if not check(value):
                raise InvalidParameter(f"{name} is invalid")
        await self._update(
            _key(_SETTINGS, caller),
            lambda text: json.dumps({**_read_settings(text), **attributes}),
        )

    async def attributes(self, caller: Caller, names: Sequence[str] = ()) -> dict[str, str]:
        """The spend limit and what was ever set; only those of ``names``, if there are any."""
        settings = _read_settings(await self._store.get_document(_key(_SETTINGS, caller)))
        return {name: value for name, value in settings.items() if not names or name in names}

    async def options(
        self, account: str, region: str, attributes: Mapping[str, MessageAttribute]
    ) -> SmsOptions:
        """How a message with these attributes is to be sent; the settings are the defaults."""
        key = DocumentKey(_SETTINGS, account, region, "")
        settings = _read_settings(await self._store.get_document(key))

        def given(name: str) -> str | None:
            attribute = attributes.get(name)
            return str(attribute.value) if attribute is not None else None

        return SmsOptions(
            sms_type=given("AWS.SNS.SMS.SMSType") or settings.get("DefaultSMSType", _TYPES[0]),
            sender_id=given("AWS.SNS.SMS.SenderID") or settings.get("DefaultSenderID"),
            max_price=given("AWS.SNS.SMS.MaxPrice"),
            origination_number=given("AWS.MM.SMS.OriginationNumber"),
            entity_id=given("AWS.MM.SMS.EntityId"),
            template_id=given("AWS.MM.SMS.TemplateId"),
        )

    # --- opt-outs -------------------------------------------------------------------------------

    async def is_opted_out(self, caller: Caller, number: str) -> bool:
        """Whether a number is on the opt-out list; raises ``InvalidParameter`` for no number."""
        return await self.opted_out(caller.account, caller.region, _read_number(number))

    async def opted_out(self, account: str, region: str, number: str) -> bool:
        """Whether an account may not send to a number, however that is written (2.2)."""
        key = DocumentKey(_OPT_OUTS, account, region, _canonical(number))
        return await self._store.get_document(key) is not None

    async def opt_out(self, account: str, region: str, number: str) -> None:
        """Put a number on the opt-out list, as its owner does by answering STOP."""
        key = DocumentKey(_OPT_OUTS, account, region, _read_number(number))
        await self._update(key, lambda _text: _MARK)

    async def take_back_opt_out(self, account: str, region: str, number: str) -> None:
        """Take a number off the opt-out list, as its owner does by answering START: at any time."""
        key = DocumentKey(_OPT_OUTS, account, region, _read_number(number))
        await self._update(key, lambda _text: None)

    async def opted_out_numbers(
        self, caller: Caller, next_token: str | None
    ) -> tuple[list[str], str | None]:
        """The opt-out list, and the token of the next page if there is one."""
        documents, token = await self._page(caller, _OPT_OUTS, limits.TOPIC_PAGE, next_token)
        return [number for number, _ in documents], token

    async def opt_in(self, caller: Caller, number: str) -> None:
        """Take a number off the opt-out list, once in 30 days; one not on it does not matter."""
        number = _read_number(number)
        out_key, in_key = (_key(kind, caller, number) for kind in (_OPT_OUTS, _OPT_INS))
        while True:
            opt_out = await self._store.get_document(out_key)
            if opt_out is None:
                return
            opt_in = await self._store.get_document(in_key)
            now_ms = self._clock.now_ms()
            if opt_in is not None:
                latest_ms: int = json.loads(opt_in)["opted_in_at_ms"]
                if now_ms < latest_ms + _OPT_IN_INTERVAL_MS:
                    raise InvalidParameter.of(
                        "PhoneNumber Reason: a number can be opted in only once every 30 days"
                    )
            new_opt_in = json.dumps({"opted_in_at_ms": now_ms})
            if await self._change(
                DocumentChange(out_key, opt_out, None), DocumentChange(in_key, opt_in, new_opt_in)
            ):
                return

    # --- sandbox --------------------------------------------------------------------------------

    async def in_sandbox(self, account: str, region: str) -> bool:
        """Whether messages only go to verified numbers: not unless that was asked for."""
        key = DocumentKey(_SANDBOX, account, region, "")
        return await self._store.get_document(key) is not None

    async def set_in_sandbox(self, account: str, region: str, *, in_sandbox: bool) -> None:
        """Put an account into the sandbox, or take it out."""
        key = DocumentKey(_SANDBOX, account, region, "")
        await self._update(key, lambda _text: _MARK if in_sandbox else None)

    async def may_receive(self, account: str, region: str, number: str) -> bool:
        """Whether the sandbox, if the account is in it, lets messages to a number through."""
        if not await self.in_sandbox(account, region):
            return True
        written = _SEPARATOR.sub("", number).removeprefix("+")
        for name in (written, f"+{written}"):
            text = await self._store.get_document(
                DocumentKey(_SANDBOX_NUMBERS, account, region, name)
            )
            if text is not None and _SandboxEntry.read(text).verified:
                return True
        return False

    async def create_sandbox_number(
        self, caller: Caller, number: str, language_code: str | None
    ) -> None:
        """Add a number, or make a new password for one that is still pending.

        Raises ``OptedOut`` for one whose owner wants no messages.
        """
        _check_sandbox_number(number)
        language_code = language_code or "en-US"
        if language_code not in _LANGUAGES:
            raise InvalidParameter.of(f"LanguageCode Reason: {language_code} is not supported")
        if await self.opted_out(caller.account, caller.region, number):
            raise OptedOut("Phone number is opted out")
        drawn = int.from_bytes(self._ids.secret(), "big") % 10**_PASSWORD_DIGITS
        entry = _SandboxEntry(f"{drawn:0{_PASSWORD_DIGITS}}", language_code)

        def create(text: str | None) -> str:
            if text is not None and _SandboxEntry.read(text).verified:
                return text
            return entry.text()

        await self._update(_key(_SANDBOX_NUMBERS, caller, number), create)

    async def verify_sandbox_number(self, caller: Caller, number: str, password: str) -> None:
        """Verify a number by its one-time password.

        Raises ``TopicResourceNotFound`` without the number, ``VerificationFailed`` for another
        password.
        """
        _check_sandbox_number(number)
        if not _PASSWORD.fullmatch(password):
            raise InvalidParameter.of("OneTimePassword Reason: must be 5 to 8 digits")

        def verify(text: str | None) -> str:
            if text is None:
                raise TopicResourceNotFound(_UNKNOWN_NUMBER)
            entry = _SandboxEntry.read(text)
            if entry.one_time_password != password:
                raise VerificationFailed("One-time password verification failed")
            return dataclasses.replace(entry, verified=True).text()

        await self._update(_key(_SANDBOX_NUMBERS, caller, number), verify)

    async def delete_sandbox_number(self, caller: Caller, number: str) -> None:
        """Remove a number; raises ``TopicResourceNotFound`` without it."""
        _check_sandbox_number(number)

        def delete(text: str | None) -> None:
            if text is None:
                raise TopicResourceNotFound(_UNKNOWN_NUMBER)

        await self._update(_key(_SANDBOX_NUMBERS, caller, number), delete)

    async def sandbox_numbers(
        self, caller: Caller, max_results: int | None, next_token: str | None
    ) -> tuple[list[SandboxNumber], str | None]:
        """The numbers of the sandbox, and the token of the next page if there is one."""
        page = _page_size(max_results, SANDBOX_NUMBERS_PAGE_MAX)
        documents, token = await self._page(caller, _SANDBOX_NUMBERS, page, next_token)
        found = []
        for number, text in documents:
            verified = _SandboxEntry.read(text).verified
            found.append(SandboxNumber(number, "Verified" if verified else "Pending"))
        return found, token

    async def sandbox_passwords(self, account: str, region: str) -> dict[str, str]:
        """The one-time password of each pending number: here it is not sent to a phone."""
        passwords = {}
        after = ""
        while documents := await self._store.list_documents(
            _SANDBOX_NUMBERS, account, region, after=after, limit=SANDBOX_NUMBERS_PAGE_MAX
        ):
            for number, text in documents:
                entry = _SandboxEntry.read(text)
                if not entry.verified:
                    passwords[number] = entry.one_time_password
            after = documents[-1][0]
        return passwords

    # --- origination numbers --------------------------------------------------------------------

    async def put_origination_number(
        self, account: str, region: str, number: OriginationNumber
    ) -> None:
        """Give an account a number that its messages may come from, from now on if not since."""
        if number.created_at_ms is None:
            number = dataclasses.replace(number, created_at_ms=self._clock.now_ms())
        key = DocumentKey(_ORIGINATION_NUMBERS, account, region, number.phone_number)
        await self._update(key, lambda _text: json.dumps(dataclasses.asdict(number)))

    async def origination_numbers(
        self, caller: Caller, max_results: int | None, next_token: str | None
    ) -> tuple[list[OriginationNumber], str | None]:
        """The account's origination numbers, and the token of the next page if there is one."""
        page = _page_size(max_results, ORIGINATION_NUMBERS_PAGE_MAX)
        documents, token = await self._page(caller, _ORIGINATION_NUMBERS, page, next_token)
        found = []
        for _, text in documents:
            kept: dict[str, Any] = json.loads(text)
            capabilities = tuple(kept.pop("number_capabilities"))
            found.append(OriginationNumber(**kept, number_capabilities=capabilities))
        return found, token

    # --- documents ------------------------------------------------------------------------------

    async def _change(self, *changes: DocumentChange) -> bool:
        return await self._store.change_documents(changes)

    async def _update(self, key: DocumentKey, change: Callable[[str | None], str | None]) -> None:
        """Replace a document by what ``change`` makes of it, even if others do the same."""
        while True:
            text = await self._store.get_document(key)
            changed = change(text)
            if changed == text or await self._change(DocumentChange(key, text, changed)):
                return

    async def _page(
        self, caller: Caller, kind: str, page: int, next_token: str | None
    ) -> tuple[list[tuple[str, str]], str | None]:
        """A page of documents, and the token of the next one."""
        scope = [kind, caller.account, caller.region]
        documents = await self._store.list_documents(
            kind,
            caller.account,
            caller.region,
            after=page_after(self._seal, next_token, scope),
            limit=page + 1,
        )
        names, token = page_of(self._seal, [name for name, _ in documents], page, scope)
        return documents[: len(names)], token


# --- checks -------------------------------------------------------------------------------------


def check_sms_endpoint(text: str) -> bool:
    """Whether messages can be subscribed to for that number (SNS reference, 2.2).

    Digits as in E.164, with or without ``+``; single ``.``, ``/`` and ``-`` may stand between them.
    """
    return (
        _SEPARATED.fullmatch(text) is not None
        and _E164.fullmatch(_SEPARATOR.sub("", text)) is not None
    )


def check_phone_number(number: str) -> None:
    """Refuse a PhoneNumber that cannot be published to (4.2)."""
    if not _E164.fullmatch(number):
        raise InvalidParameter.of(f"PhoneNumber Reason: {number} is not valid to publish to")


def check_sms_message(text: str) -> None:
    """Refuse a message that is too long for SMS (4.5)."""
    if len(text) > MESSAGE_CHARACTERS_MAX:
        raise InvalidParameter.of("Message too long")


def check_sms_attributes(attributes: Mapping[str, MessageAttribute]) -> None:
    """Refuse message attributes about SMS with values they do not take (9.1)."""
    for name, attribute in attributes.items():
        check = _MESSAGE_CHECKS.get(name)
        if check is not None and not (isinstance(attribute.value, str) and check(attribute.value)):
            raise InvalidParameter.of(f"{name} is invalid")


def _canonical(number: str) -> str:
    return "+" + _SEPARATOR.sub("", number).removeprefix("+")


def _read_number(number: str) -> str:
    """A number of the opt-out list in the form in which it is kept."""
    if not _E164.fullmatch(number):
        raise InvalidParameter.of(_BADLY_FORMATTED)
    return _canonical(number)


def _check_sandbox_number(number: str) -> None:
    if not _SANDBOX_NUMBER.fullmatch(number):
        raise InvalidParameter.of(_BADLY_FORMATTED)


def _page_size(max_results: int | None, most: int) -> int:
    if max_results is None:
        return most
    if not 1 <= max_results <= most:
        raise InvalidParameter.of(f"MaxResults Reason: must be between 1 and {most}")
    return max_results


def _key(kind: str, caller: Caller, name: str = "") -> DocumentKey:
    return DocumentKey(kind, caller.account, caller.region, name)


def _read_settings(text: str | None) -> dict[str, str]:
    return dict(_UNTOUCHED) if text is None else {**_UNTOUCHED, **json.loads(text)}
