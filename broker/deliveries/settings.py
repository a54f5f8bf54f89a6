"""What of the world outside deliveries may use."""

from dataclasses import dataclass
from pathlib import Path

from broker.mails import DEFAULT_SENDER_ADDRESS

#: protocols that need a mail server
MAIL = ("email", "email-json")
#: protocols whose messages stay in the outbox unless there is a webhook for them
PHONE = ("sms", "application")
#: what is missing where a protocol's deliveries wait
MISSING = {
    **dict.fromkeys(MAIL, "no mail server is configured"),
    "lambda": "no Lambda endpoint is configured",
    "firehose": "no Firehose endpoint or folder is configured",
}


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """Where deliveries go that do not name their whole way; None: there is no such place."""

    smtp_url: str | None = None
    mail_sender: str = DEFAULT_SENDER_ADDRESS
    lambda_url: str | None = None
    lambda_function: str | None = None  # the one name under which all functions are invoked
    firehose_url: str | None = None
    firehose_folder: Path | None = None
    phone_webhook_url: str | None = None
    certificate_base_url: str | None = None  # None: as other links
    ca_file: Path | None = None
    verify_tls: bool = True

    @property
    def reachable(self) -> frozenset[str]:
        """The protocols by which something can be sent."""
        protocols = {"http", "https"}
        if self.smtp_url is not None:
            protocols.update(MAIL)
        if self.lambda_url is not None:
            protocols.add("lambda")
        if self.firehose_url is not None or self.firehose_folder is not None:
            protocols.add("firehose")
        if self.phone_webhook_url is not None:
            protocols.update(PHONE)
        return frozenset(protocols)
