"""Page tokens of the lists about topics."""

from base64 import b64decode

import pytest

from broker.pages import page_after, page_of
from broker.seals import Seal
from broker.topic_errors import InvalidParameter

SEAL = Seal(b"secret")
SCOPE = ["topics", "000000000000", "us-east-1"]


def test_a_token_leads_to_the_name_its_page_ended_with() -> None:
    names, token = page_of(SEAL, ["a", "b", "c"], 2, SCOPE)
    assert names == ["a", "b"]
    assert token is not None
    assert page_after(SEAL, token, SCOPE) == "b"


def test_the_last_page_has_no_token() -> None:
    assert page_of(SEAL, ["a", "b"], 2, SCOPE) == (["a", "b"], None)
    assert page_of(SEAL, [], 2, SCOPE) == ([], None)


def test_the_first_page_begins_before_every_name() -> None:
    assert page_after(SEAL, None, SCOPE) == ""


def test_every_token_is_base64_of_the_standard_alphabet() -> None:
    tokens = [str(page_of(SEAL, [str(n), ""], 1, SCOPE)[1]) for n in range(100)]
    assert any("+" in token or "/" in token for token in tokens)
    for n, token in enumerate(tokens):
        assert b64decode(token, validate=True)
        assert page_after(SEAL, token, SCOPE) == str(n)


def test_a_token_has_one_spelling() -> None:
    tokens = (str(page_of(SEAL, [str(n), ""], 1, SCOPE)[1]) for n in range(100))
    token = next(each for each in tokens if "+" in each)
    with pytest.raises(InvalidParameter):
        page_after(SEAL, token.replace("+", "-"), SCOPE)


@pytest.mark.parametrize("token", ["", "a", "ä", "====", SEAL.seal(b"content"), SEAL.seal(b"")])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        page_after(SEAL, token, SCOPE)
    assert str(refused.value) == "Invalid parameter: NextToken"


def test_a_token_of_another_list_is_refused() -> None:
    _, token = page_of(SEAL, ["a", "b"], 1, SCOPE)
    for scope in (["subscriptions", *SCOPE[1:]], SCOPE[:2], [*SCOPE, ""]):
        with pytest.raises(InvalidParameter):
            page_after(SEAL, token, scope)
