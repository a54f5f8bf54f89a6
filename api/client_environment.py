"""The environment of programs that are to talk to this server, and to nobody else."""

from collections.abc import Mapping

from api.settings import URL_VARIABLE

#: what would lead AWS's SDKs to other credentials, or away from the endpoint
_MISLEADING = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
)
_CREDENTIAL = "test"


def client_environment(
    environment: Mapping[str, str], *, url: str, host: str, region: str
) -> dict[str, str]:
    """``environment``, changed so that every AWS SDK calls ``url``, whose host is ``host``.

    The credentials are dummies whatever they were: a test must not reach a real account, not even
    by a service that is not here.
    """
    changed = {name: value for name, value in environment.items() if name not in _MISLEADING}
    changed |= {
        "AWS_ENDPOINT_URL": url,
        "AWS_ENDPOINT_URL_SQS": url,
        "AWS_ENDPOINT_URL_SNS": url,
        "AWS_ENDPOINT_URL_STS": url,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ACCESS_KEY_ID": _CREDENTIAL,
        "AWS_SECRET_ACCESS_KEY": _CREDENTIAL,
        URL_VARIABLE: url,
    }
    for name in ("NO_PROXY", "no_proxy"):  # programs read one or the other
        changed[name] = ",".join(filter(None, (environment.get(name), host)))
    return changed
