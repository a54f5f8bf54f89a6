"""What the transports cost a server that does not use them."""

import subprocess
import sys
from pathlib import Path

_SCRIPT = """
import sys
from broker.deliveries import aws, files, http, smtp
http.HttpTransport(), smtp.SmtpTransport("smtp://localhost")
print(*{"aiosmtplib", "botocore", "certifi", "httpx"} & sys.modules.keys())
"""


def test_the_client_libraries_are_not_loaded_before_the_first_delivery() -> None:
    root = Path(__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", _SCRIPT], cwd=root, capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == []
