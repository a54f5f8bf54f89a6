"""A publication as its subscribers get it, each part rendered and signed once."""

from broker.envelopes import Links, Notification, ProtocolMessages, notification_string_to_sign
from broker.signatures import Signatures
from storage.topic_records import Publication


class Rendering:
    """The texts of one publication."""

    def __init__(
        self, publication: Publication, signatures: Signatures, *, signature_version: str
    ) -> None:
        self.publication = publication
        self.messages = ProtocolMessages.of(publication)
        self.links: Links = signatures.links(publication.base_url)
        self._signatures = signatures
        self._signature_version = signature_version
        self._notifications: dict[str, Notification] = {}

    async def notification(self, message: str) -> Notification:
        """What there is to send of that message, which is one of ``messages``.

        FIFO topics sign nothing (SNS reference, 5.1).
        """
        found = self._notifications.get(message)
        if found is None:
            signature = None
            if self.publication.sequence is None:
                signature = await self._signatures.sign(
                    notification_string_to_sign(self.publication, message),
                    self._signature_version,
                    self.links,
                )
            found = Notification(self.publication, message, links=self.links, signature=signature)
            self._notifications[message] = found
        return found
