"""The pages of the list operations about topics (SNS reference, 1.5)."""

import json
from collections.abc import Sequence

from broker.seals import Seal
from broker.topic_errors import InvalidParameter

#: Clients may read a token as base64 of the standard alphabet; seals have the one of URLs. [AWS]
_STANDARD = str.maketrans("-_", "+/")
_OF_URLS = str.maketrans("+/", "-_")


def page_after(seal: Seal, token: str | None, scope: Sequence[str]) -> str:
    """The name after which the page of that token begins; the empty text for the first page.

    ``scope``: what is listed, and whose.  Raises ``InvalidParameter`` for what is no token of it.
    """
    if token is None:
        return ""
    content = None
    if "-" not in token and "_" not in token:
        content = seal.open(token.translate(_OF_URLS))
    if content is None or not content.startswith(b"["):
        raise InvalidParameter.of("NextToken")
    *token_scope, after = json.loads(content)
    if token_scope != list(scope):
        raise InvalidParameter.of("NextToken")
    return str(after)


def page_of(
    seal: Seal, names: Sequence[str], page: int, scope: Sequence[str]
) -> tuple[list[str], str | None]:
    """Up to ``page`` of the names, and the token of the next page if there are more of them."""
    kept = list(names[:page])
    if len(names) <= page:
        return kept, None
    content = json.dumps([*scope, kept[-1]]).encode()
    return kept, seal.seal(content).translate(_STANDARD)
