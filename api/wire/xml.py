"""Answers of the Query protocol: XML from result models, and from errors."""

import re
from functools import cache
from typing import Any

from api.errors import WireError
from api.operation import QueryList, QueryMap, Service, Wire
from api.wire.query import describe

_PROLOG = '<?xml version="1.0"?>'
# A raw carriage return would be normalised away by parsers and break MD5OfBody. [AWS]
_ESCAPES = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "\r": "&#xD;",
}
_SPECIAL = re.compile('[&<>"\r]')
#: not allowed in XML 1.0 in any form: replaced, so that an echoed value cannot spoil a document
_IMPOSSIBLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def escape(text: str) -> str:
    """Text as it stands between tags."""
    if not text.isprintable():
        text = _IMPOSSIBLE.sub("\ufffd", text)
    return _SPECIAL.sub(lambda match: _ESCAPES[match[0]], text)


def result_document(
    service: Service, operation_name: str, result: Wire | None, request_id: str
) -> bytes:
    """The document that answers an operation; without a result it only has metadata."""
    parts = [_PROLOG, f'<{operation_name}Response xmlns="{service.xml_namespace}">']
    if result is not None:
        content: list[str] = []
        _write_members(result, content)
        name = f"{operation_name}Result"
        parts.append(f"<{name}>{''.join(content)}</{name}>" if content else f"<{name}/>")
    parts.append(
        f"<ResponseMetadata><RequestId>{escape(request_id)}</RequestId></ResponseMetadata>"
        f"</{operation_name}Response>"
    )
    return "".join(parts).encode()


def error_document(service: Service, error: WireError, request_id: str) -> bytes:
    """The document that tells an error."""
    return (
        f'{_PROLOG}<ErrorResponse xmlns="{service.xml_namespace}"><Error>'
        f"<Type>{error.fault}</Type><Code>{error.code}</Code>"
        f"<Message>{escape(error.message)}</Message><Detail/></Error>"
        f"<RequestId>{escape(request_id)}</RequestId></ErrorResponse>"
    ).encode()


@cache
def _members(model: type[Wire]) -> list[tuple[str, str, QueryList | QueryMap | None]]:
    return [
        (name, field.serialization_alias or field.alias or name, describe(field).spelling)
        for name, field in model.model_fields.items()
    ]


def _write_members(model: Wire, parts: list[str]) -> None:
    for name, alias, spelling in _members(type(model)):
        value = getattr(model, name)
        if value is None:
            continue
        if isinstance(spelling, QueryMap):
            for key, entry in value.items():
                parts.append(f"<{spelling.entry}>")
                _write_element(spelling.key, key, parts)
                _write_element(spelling.value, entry, parts)
                parts.append(f"</{spelling.entry}>")
        elif isinstance(spelling, QueryList):
            for entry in value:
                _write_element(spelling.element, entry, parts)
        else:
            _write_element(alias, value, parts)


def _write_element(name: str, value: Any, parts: list[str]) -> None:
    parts.append(f"<{name}>")
    if isinstance(value, Wire):
        _write_members(value, parts)
    elif isinstance(value, bool):
        parts.append("true" if value else "false")
    else:
        parts.append(escape(str(value)))
    parts.append(f"</{name}>")
