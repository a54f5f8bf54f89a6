"""Who calls, where a verb depends on it."""

from typing import NamedTuple


class Caller(NamedTuple):
    """Who calls about topics, as the credentials say it."""

    account: str
    region: str
    principal: str  # the ARN of the caller
    signed: bool  # False: a request without credentials, such as a link in a mail
