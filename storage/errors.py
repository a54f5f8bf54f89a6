"""What a store raises.

StorageError
├── UnknownQueue       there is no queue of that id (any more)
├── UnknownTopic       there is no topic of that id (any more)
├── StoreUnusable      the store cannot be opened: the message says what and where
├── StoreUnwritable    no space, or locked: nothing was stored, the store goes on
└── StoreBroken        the store failed and accepts nothing from now on
"""


class StorageError(Exception):
    """Base of everything a store raises; whatever else it raises is a bug."""


class UnknownQueue(StorageError):
    """There is no queue of that id; it may have been deleted a moment ago."""


class UnknownTopic(StorageError):
    """There is no topic of that id; it may have been deleted a moment ago."""


class StoreUnusable(StorageError):
    """The store cannot be opened.  The text is one line for the person who started Headrace."""


class StoreUnwritable(StorageError):
    """The disk is full, or another program has locked the file: nothing was changed, try again."""


class StoreBroken(StorageError):
    """Durability can no longer be promised (a failed fsync, a lost file): nothing is accepted."""
