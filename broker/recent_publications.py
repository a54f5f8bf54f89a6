"""What was published lately, remembered so that questions about it can be answered."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

from storage.topic_records import Publication

_COUNT_MAX = 1_000
_BYTES_MAX = 8 * 1024 * 1024
#: what a copy that is remembered costs, about
_COPY_BYTES = 200


class RecentPublication(NamedTuple):
    """A publication and what the queues that got it call their copies, by subscription."""

    publication: Publication
    queue_message_ids: Mapping[str, str]

    @property
    def size_bytes(self) -> int:
        """How much memory it takes, about."""
        publication = self.publication
        attributes = publication.attributes or {}
        return (
            _COPY_BYTES * (1 + len(attributes) + len(self.queue_message_ids))
            + len(publication.message)
            + sum(len(attribute.value) for attribute in attributes.values())
        )


class RecentPublications:
    """The latest publications of this process, as many as fit into a few megabytes."""

    def __init__(self) -> None:
        self._by_id: OrderedDict[str, RecentPublication] = OrderedDict()
        self._bytes = 0

    def remember(self, recent: RecentPublication) -> None:
        """Remember one, and forget the oldest if it takes too much room."""
        self._by_id[recent.publication.message_id] = recent
        self._bytes += recent.size_bytes
        while len(self._by_id) > _COUNT_MAX or self._bytes > _BYTES_MAX:
            _, oldest = self._by_id.popitem(last=False)
            self._bytes -= oldest.size_bytes

    def find(self, message_id: str) -> RecentPublication | None:
        """The publication of that message id, if it is not too long ago."""
        return self._by_id.get(message_id)
