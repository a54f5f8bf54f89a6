"""The store in plain Python: the reference implementation of the contract, and the fastest."""

from storage.memory.checkpoints import MemoryCheckpoints


class MemoryStorage(MemoryCheckpoints):
    """Keeps everything in this process, until it ends.  See ``storage.contract.Storage``."""

    durable = False
    description = "memory"

    async def open(self) -> None:
        """There is nothing to open."""

    async def close(self) -> None:
        """There is nothing to let go of."""
