"""Answers of the Query protocol: XML from result models, and from errors."""

import re
from functools import cache
from typing import Any

from api.errors import WireError
from api.operation import NestedList, NestedMap, QueryList, QueryMap, Service, Spelling, Wire
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
    if service.dialect.indented:
        return _indented_result(service, operation_name, result, request_id)
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
    if service.dialect.indented:
        return _indented_error(service, error, request_id)
    return (
        f'{_PROLOG}<ErrorResponse xmlns="{service.xml_namespace}"><Error>'
        f"<Type>{error.fault}</Type><Code>{error.code}</Code>"
        f"<Message>{escape(error.message)}</Message><Detail/></Error>"
        f"<RequestId>{escape(request_id)}</RequestId></ErrorResponse>"
    ).encode()


@cache
def _members(model: type[Wire]) -> list[tuple[str, str, Spelling | None]]:
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
    else:
        parts.append(_text(value))
    parts.append(f"</{name}>")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return escape(str(value))


# --- in lines (SNS reference, 1.2 and 1.3) ------------------------------------------------------


def _indented_result(
    service: Service, operation_name: str, result: Wire | None, request_id: str
) -> bytes:
    parts = [f'<{operation_name}Response xmlns="{service.xml_namespace}">\n']
    if result is not None:
        _write_line(f"{operation_name}Result", result, "  ", parts)
    parts.append(
        f"  <ResponseMetadata>\n    <RequestId>{escape(request_id)}</RequestId>\n"
        f"  </ResponseMetadata>\n</{operation_name}Response>\n"
    )
    return "".join(parts).encode()


def _indented_error(service: Service, error: WireError, request_id: str) -> bytes:
    return (
        f'<ErrorResponse xmlns="{service.xml_namespace}">\n  <Error>\n'
        f"    <Type>{error.fault}</Type>\n    <Code>{error.code}</Code>\n"
        f"    <Message>{escape(error.message)}</Message>\n  </Error>\n"
        f"  <RequestId>{escape(request_id)}</RequestId>\n</ErrorResponse>\n"
    ).encode()


def _write_line(name: str, value: Any, indent: str, parts: list[str]) -> None:
    """An element from the start of a line to its end; what is empty closes itself."""
    if not isinstance(value, Wire):
        text = _text(value)
        parts.append(f"{indent}<{name}>{text}</{name}>\n" if text else f"{indent}<{name}/>\n")
        return
    content: list[str] = []
    _write_lines(value, f"{indent}  ", content)
    _write_block(name, content, indent, parts)


def _write_block(name: str, content: list[str], indent: str, parts: list[str]) -> None:
    if content:
        parts += [f"{indent}<{name}>\n", *content, f"{indent}</{name}>\n"]
    else:
        parts.append(f"{indent}<{name}/>\n")


def _write_lines(model: Wire, indent: str, parts: list[str]) -> None:
    deeper = f"{indent}  "
    for name, alias, spelling in _members(type(model)):
        value = getattr(model, name)
        if value is None:
            continue
        content: list[str] = []
        if isinstance(spelling, NestedList):
            for each in value:
                _write_line(spelling.element, each, deeper, content)
        elif isinstance(spelling, NestedMap):
            for key, each in value.items():
                entry: list[str] = []
                _write_line(spelling.key, key, f"{deeper}  ", entry)
                _write_line(spelling.value, each, f"{deeper}  ", entry)
                _write_block(spelling.entry, entry, deeper, content)
        else:
            _write_line(alias, value, indent, parts)
            continue
        _write_block(alias, content, indent, parts)
