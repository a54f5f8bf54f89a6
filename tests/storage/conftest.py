"""The stores under test: what runs over ``storage`` runs over each of them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from storage.contract import Storage
from storage.memory import MemoryStorage
from tests.storage.builders import AQueue, a_queue

HAS_SQLITE = find_spec("storage.sqlite") is not None


def _memory(folder: Path) -> Storage:
    return MemoryStorage()


def _sqlite(folder: Path) -> Storage:
    from storage.sqlite import SQLiteStorage

    return SQLiteStorage(folder / "headrace.db", strict=True)


#: Every store there is, and how to make one in a folder.
STORES: dict[str, Callable[[Path], Storage]] = {"memory": _memory}
if HAS_SQLITE:
    STORES["sqlite"] = _sqlite


@pytest.fixture(params=sorted(STORES))
def make_storage(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Storage]:
    """Make a store; a second one is on the same file."""
    make = STORES[request.param]
    return lambda: make(tmp_path)


@pytest.fixture
async def storage(make_storage: Callable[[], Storage]) -> AsyncIterator[Storage]:
    """An open store without queues."""
    store = make_storage()
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def reopen_storage(
    storage: Storage, make_storage: Callable[[], Storage]
) -> AsyncIterator[Callable[[], Awaitable[Storage]]]:
    """Close the store and open it again; gives the new one."""
    if not storage.durable:
        pytest.skip("not durable")
    opened = [storage]

    async def close_and_open() -> Storage:
        await opened[-1].close()
        again = make_storage()
        await again.open()
        opened.append(again)
        return again

    yield close_and_open
    await opened[-1].close()


@pytest.fixture
def reopen(
    reopen_storage: Callable[[], Awaitable[Storage]],
) -> Callable[[AQueue], Awaitable[AQueue]]:
    """Close the store of a queue and open it again; gives the queue in the new one."""

    async def close_and_open(queue: AQueue) -> AQueue:
        again = await reopen_storage()
        record = await again.get_queue(queue.key)
        assert record is not None
        return AQueue(again, record)

    return close_and_open


@pytest.fixture
async def queue(storage: Storage) -> AQueue:
    """An empty standard queue."""
    return await a_queue(storage)


@pytest.fixture
async def fifo_queue(storage: Storage) -> AQueue:
    """An empty FIFO queue."""
    return await a_queue(storage, "a-queue.fifo", fifo=True)


@pytest.fixture
def changes(storage: Storage) -> list[tuple[int, int]]:
    """What the store tells its listener: (queue id, how many)."""
    told: list[tuple[int, int]] = []
    storage.on_change(lambda queue_id, messages: told.append((queue_id, messages)))
    return told
