"""The command line: ``headrace`` and ``python -m api`` are the same."""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from importlib import metadata
from typing import NoReturn

from api.settings import (
    Settings,
    SettingsError,
    choices,
    environment_name,
    option_name,
    read_settings,
)

_DESCRIPTION = (
    "Amazon SQS and SNS on your own machine: point boto3, the AWS CLI or Terraform at it."
)
_SERVE_EPILOG = """\
Every option can be given as an environment variable too; an option wins.
Any credentials will do. A 12-digit access key id is the account; the region is that of the client.

  headrace serve                                  durable queues and topics in ./data
  headrace serve --store memory --port 0          for a test: nothing stays
  aws --endpoint-url http://127.0.0.1:4566 sqs create-queue --queue-name jobs
"""


class _Parser(argparse.ArgumentParser):
    """Tells a mistake in one line."""

    def error(self, message: str) -> NoReturn:
        line = " ".join(message.split())  # arguments may hold line breaks
        self.exit(2, f"headrace: {line} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="headrace", description=_DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"headrace {_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "serve",
        help="run the server",
        description="Run the server in the foreground until Ctrl-C or SIGTERM.",
        epilog=_SERVE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f", default {str(field.default).lower()}"
        serve.add_argument(
            option_name(name),
            dest=name,
            metavar=choices(field),
            default=argparse.SUPPRESS,
            help=f"{field.description} [{environment_name(name)}{default}]",
        )
    return parser


def _open_standard_streams() -> None:
    """Who starts us may have closed some: a socket must not get their numbers."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _version() -> str:
    try:
        return metadata.version("headrace")
    except metadata.PackageNotFoundError:  # run from a checkout
        return "(not installed)"


def _banner(settings: Settings, endpoint: str, store: str) -> None:
    durability = {
        "memory": "none: everything is gone when Headrace ends",
        "strict": "strict: an answer means it is on disk",
        "relaxed": "relaxed: survives a crash; a power cut may take the latest",
    }["memory" if settings.store == "memory" else settings.durability]
    with contextlib.suppress(BrokenPipeError):  # nobody reads it
        print(
            f"Headrace {_version()} is serving Amazon SQS and SNS\n"
            f"  endpoint    {endpoint}\n"
            f"  store       {store}\n"
            f"  durability  {durability}\n"
            f"  stop        Ctrl-C",
            flush=True,
        )


def main(arguments: list[str] | None = None) -> int:
    """Run a command; the exit status."""
    _open_standard_streams()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until the server takes it over
    options = vars(_parser().parse_args(arguments))
    del options["command"]
    try:
        settings = read_settings(options, os.environ)
    except SettingsError as error:
        print(f"headrace: {error}", file=sys.stderr)
        return 2
    try:
        return _serve(settings)
    except KeyboardInterrupt:  # before the server has taken over the signals
        return 128 + signal.SIGINT


def _serve(settings: Settings) -> int:
    # imported here: mistakes and --help should not wait for them
    from api.logs import configure_logging
    from api.server import ServerError, serve

    configure_logging(settings.log_level, settings.log_format)
    new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    with contextlib.suppress(ImportError):  # there is none on Windows
        import uvloop

        new_loop = uvloop.new_event_loop
    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(
                serve(settings, banner=lambda at, store: _banner(settings, at, store))
            )
    except ServerError as error:
        print(f"headrace: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
