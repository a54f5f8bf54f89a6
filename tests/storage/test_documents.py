"""Documents: small pieces of state that are read and written whole."""

from collections.abc import Awaitable, Callable

from storage.contract import Storage
from storage.topic_records import DocumentChange
from tests.storage.topic_builders import ACCOUNT, REGION, a_key

A, B = a_key("a"), a_key("b")


async def write(storage: Storage, *names: str, kind: str = "a-kind", region: str = REGION) -> None:
    """Write new documents; the value of each is made from its name."""
    changes = [
        DocumentChange(a_key(name, kind=kind, region=region), None, f"value of {name}")
        for name in names
    ]
    assert await storage.change_documents(changes)


async def names(storage: Storage, **page: str) -> list[str]:
    """What is listed of the two pages of two that there may be."""
    found = await storage.list_documents("a-kind", ACCOUNT, REGION, limit=2, **page)
    assert all(value == f"value of {name}" for name, value in found)
    return [name for name, _ in found]


async def test_an_unknown_document_is_none(storage: Storage) -> None:
    assert await storage.get_document(A) is None


async def test_a_document_is_read_as_it_was_written(storage: Storage) -> None:
    text = '{"häuser": "\N{ROCKET}\r\n\t"}'
    assert await storage.change_documents([DocumentChange(A, None, text)])
    assert await storage.get_document(A) == text


async def test_an_empty_document_is_not_a_missing_one(storage: Storage) -> None:
    assert await storage.change_documents([DocumentChange(A, None, "")])
    assert await storage.get_document(A) == ""
    assert not await storage.change_documents([DocumentChange(A, None, "a")])
    assert await storage.change_documents([DocumentChange(A, "", "a")])
    assert await storage.get_document(A) == "a"


async def test_a_document_that_is_there_is_not_written_as_new(storage: Storage) -> None:
    await write(storage, "a")
    assert not await storage.change_documents([DocumentChange(A, None, "other")])
    assert await storage.get_document(A) == "value of a"


async def test_a_document_is_removed(storage: Storage) -> None:
    await write(storage, "a")
    assert await storage.change_documents([DocumentChange(A, "value of a", None)])
    assert await storage.get_document(A) is None
    assert await names(storage) == []
    await write(storage, "a")
    assert await names(storage) == ["a"]


async def test_documents_are_changed_together(storage: Storage) -> None:
    await write(storage, "a")
    changes = [DocumentChange(A, "value of a", None), DocumentChange(B, None, "new")]
    assert await storage.change_documents(changes)
    assert (await storage.get_document(A), await storage.get_document(B)) == (None, "new")


async def test_a_changed_document_is_listed_once(storage: Storage) -> None:
    await write(storage, "a", "b")
    assert await storage.change_documents([DocumentChange(A, "value of a", "other")])
    assert await storage.change_documents([DocumentChange(A, "other", "value of a")])
    assert await names(storage) == ["a", "b"]


async def test_one_unexpected_document_keeps_all_as_they_are(storage: Storage) -> None:
    await write(storage, "a", "b")
    for wrong in (None, "other"):
        changes = [
            DocumentChange(A, "value of a", "changed"),
            DocumentChange(a_key("c"), None, "new"),
            DocumentChange(B, wrong, "changed"),
        ]
        assert not await storage.change_documents(changes)
    assert await names(storage) == ["a", "b"]


async def test_an_expected_absence_can_be_a_condition_of_other_changes(storage: Storage) -> None:
    await write(storage, "a")
    change = DocumentChange(A, "value of a", "changed")
    assert await storage.change_documents([DocumentChange(B, None, None), change])
    assert await storage.get_document(A) == "changed"
    assert await storage.get_document(B) is None
    await write(storage, "b")
    change = DocumentChange(A, "changed", "changed again")
    assert not await storage.change_documents([DocumentChange(B, None, None), change])
    assert await storage.get_document(A) == "changed"


async def test_no_changes_are_made_as_expected(storage: Storage) -> None:
    assert await storage.change_documents([])


async def test_documents_are_listed_by_name_within_prefix_and_page(storage: Storage) -> None:
    await write(storage, "b2", "a", "b1", "c", "b3")
    assert await names(storage) == ["a", "b1"]
    assert await names(storage, after="b1") == ["b2", "b3"]
    assert await names(storage, prefix="b") == ["b1", "b2"]
    assert await names(storage, prefix="b", after="b2") == ["b3"]
    assert await names(storage, prefix="b", after="a") == ["b1", "b2"]
    assert await names(storage, prefix="b", after="x") == await names(storage, prefix="x") == []


async def test_a_prefix_is_taken_literally(storage: Storage) -> None:
    await write(storage, "a%b", "a_b", "axb", "A%b", "a*b", "a[b")
    assert await names(storage, prefix="a%") == ["a%b"]
    assert await names(storage, prefix="a_") == ["a_b"]
    assert await names(storage, prefix="a*") == ["a*b"]
    assert await names(storage, prefix="a[") == ["a[b"]


async def test_documents_are_listed_by_code_point(storage: Storage) -> None:
    ordered = ["B", "a", "\xe4", "\uffff", "\N{ROCKET}"]
    await write(storage, *reversed(ordered))
    assert await names(storage) == ["B", "a"]
    assert await names(storage, after="a") == ["\xe4", "\uffff"]
    assert await names(storage, after="\xe4") == ["\uffff", "\N{ROCKET}"]
    assert await names(storage, prefix="\uffff") == ["\uffff"]
    assert await names(storage, prefix="\N{ROCKET}") == ["\N{ROCKET}"]


async def test_kinds_accounts_and_regions_are_separate_worlds(storage: Storage) -> None:
    await write(storage, "a")
    await write(storage, "b", kind="other")
    await write(storage, "c", region="eu-west-1")
    theirs = a_key("d")._replace(account="111111111111")
    await storage.change_documents([DocumentChange(theirs, None, "value of d")])
    assert await names(storage) == ["a"]
    assert await storage.list_documents("other", ACCOUNT, REGION, limit=2) == [("b", "value of b")]
    assert await storage.get_document(a_key("b")) is None
    assert await storage.get_document(a_key("d")) is None
    assert await storage.get_document(theirs) == "value of d"


async def test_documents_survive(
    storage: Storage, reopen_storage: Callable[[], Awaitable[Storage]]
) -> None:
    await write(storage, "a", "b", "c")
    changes = [DocumentChange(A, "value of a", None), DocumentChange(B, "value of b", "new")]
    await storage.change_documents(changes)
    again = await reopen_storage()
    assert await again.list_documents("a-kind", ACCOUNT, REGION, limit=9) == [
        ("b", "new"),
        ("c", "value of c"),
    ]
    assert not await again.change_documents([DocumentChange(B, None, "")])
    assert await again.change_documents([DocumentChange(B, "new", None)])


async def test_a_secret_is_there_once_it_is_kept(storage: Storage) -> None:
    assert await storage.get_secret("a") is None
    await storage.keep_secret("a", b"\x00secret")
    assert await storage.get_secret("a") == b"\x00secret"
    assert await storage.get_secret("b") is None
