"""Sealed texts: what clients carry cannot be forged."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest

from broker.receipts import open_handle, receipt_handle
from broker.seals import Seal
from storage.records import Receipt

SEAL = Seal(b"a secret of thirty-two bytes, yes")
RECEIPT = Receipt(queue_id=1 << 41, sequence=(1 << 41) + 5, receive_count=3, claimed_at_ms=1)


def test_a_handle_opens_to_its_receipt_and_looks_like_those_of_aws() -> None:
    handle = receipt_handle(SEAL, RECEIPT)
    assert open_handle(SEAL, handle) == RECEIPT
    assert handle.startswith("AQEB")
    assert len(handle) <= 1024


def test_equal_receipts_have_equal_handles_and_different_ones_different() -> None:
    handles = {receipt_handle(SEAL, RECEIPT._replace(receive_count=n)) for n in range(1, 50)}
    assert len(handles) == 49
    assert receipt_handle(SEAL, RECEIPT) == receipt_handle(SEAL, RECEIPT)


def test_no_flipped_bit_opens() -> None:
    sealed = bytearray(urlsafe_b64decode(receipt_handle(SEAL, RECEIPT)))
    for position in range(len(sealed) * 8):
        flipped = bytearray(sealed)
        flipped[position // 8] ^= 1 << position % 8
        assert open_handle(SEAL, urlsafe_b64encode(flipped).decode()) is None


@pytest.mark.parametrize(
    "text", ["", "x", "AQEB", "=" * 64, "ä" * 64, "A" * 64, "A" * 10_000, "\0", "AQEB AQEB"]
)
def test_nothing_else_opens(text: str) -> None:
    assert SEAL.open(text) is None
    assert open_handle(SEAL, text) is None


def test_a_text_of_another_kind_is_no_handle() -> None:
    assert open_handle(SEAL, SEAL.seal(b'["queues","000000000000","us-east-1","","name"]')) is None


def test_another_secret_does_not_open() -> None:
    assert Seal(b"another").open(SEAL.seal(b"content")) is None
