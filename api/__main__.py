"""The command line: ``headrace`` and ``python -m api`` are the same."""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from api.exec import BROKER_FAILED, run_beside_broker, while_process_lives
from api.settings import (
    Carried,
    Settings,
    SettingsError,
    choices,
    environment_name,
    option_name,
    read_settings,
)
from api.version import version

if TYPE_CHECKING:
    from api.compatibility import Note
    from api.config import Declaration

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
_EXEC_EPILOG = """\
The command finds AWS_ENDPOINT_URL (and those of SQS, SNS, STS), HEADRACE_URL, a region and dummy
credentials in its environment. Terminal, signals and exit status are its own; the broker ends with
it, and nothing is left. Exit status 125: an option is wrong, or the broker could not start;
126, 127: the command could not be run, or not be found.

  headrace exec -- pytest -q
  headrace exec --config queues.yaml -- npm test
"""
#: where a broker of one's own differs from a server
_EXEC_SETTINGS = {
    "host": "127.0.0.1",
    "port": "0",
    "store": "memory",
    "compat": "off",
    "log_level": "warning",
}


class _Parser(argparse.ArgumentParser):
    """Tells a mistake in one line."""

    #: the exit status then
    status = 2
    commands: Mapping[str, "_Parser"]

    def error(self, message: str) -> NoReturn:
        line = " ".join(message.split())  # arguments may hold line breaks
        self.exit(self.status, f"headrace: {line} (see {self.prog} --help)\n")


def _parser() -> _Parser:
    parser = _Parser(prog="headrace", description=_DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"headrace {version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "serve",
        help="run the server",
        description="Run the server in the foreground until Ctrl-C or SIGTERM.",
        epilog=_SERVE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_settings(serve, {})
    beside = commands.add_parser(
        "exec",
        help="run a command with a broker of its own",
        usage="headrace exec [--OPTION VALUE ...] -- COMMAND [ARGUMENT ...]",
        description="Run a command beside a broker that nobody else knows of: for tests.\n"
        "Options are those of serve; variables do not count.",
        epilog=_EXEC_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    beside.status = BROKER_FAILED
    _add_settings(beside, _EXEC_SETTINGS)
    check = commands.add_parser(
        "check-config",
        help="check a file of declared queues and topics",
        description="Say what is wrong with a file for --config, or that nothing is.",
        allow_abbrev=False,
    )
    check.add_argument("file", metavar="FILE")
    parser.commands = commands.choices
    return parser


def _add_settings(parser: argparse.ArgumentParser, defaults: Mapping[str, str]) -> None:
    """An option for each setting; ``defaults``: those that differ, without a variable then."""
    for name, field in Settings.model_fields.items():
        value = defaults.get(name, field.default)
        told = [] if defaults else [environment_name(name)]
        if value is not None:
            told.append(f"default {str(value).lower()}")
        parser.add_argument(
            option_name(name),
            dest=name,
            metavar=choices(field),
            default=argparse.SUPPRESS,
            help=f"{field.description} [{', '.join(told)}]" if told else field.description,
        )
    parser.add_argument(
        "--no-admin",
        dest="admin",
        action="store_const",
        const="false",
        default=argparse.SUPPRESS,
        help=f"the same as {option_name('admin')} false",
    )


def _open_standard_streams() -> None:
    """Who starts us may have closed some: a socket must not get their numbers."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _banner(settings: Settings, endpoints: Sequence[str], store: str) -> None:
    durability = {
        "memory": "none: everything is gone when Headrace ends",
        "strict": "strict: an answer means it is on disk",
        "relaxed": "relaxed: survives a crash; a power cut may take the latest",
    }["memory" if settings.store == "memory" else settings.durability]
    endpoint, *others = endpoints
    also = "".join(f"  also        {each}\n" for each in others)
    with contextlib.suppress(BrokenPipeError):  # nobody reads it
        print(
            f"Headrace {version()} is serving Amazon SQS and SNS\n"
            f"  endpoint    {endpoint}\n"
            f"{also}"
            f"  store       {store}\n"
            f"  durability  {durability}\n"
            f"  stop        Ctrl-C",
            flush=True,
        )


def main(arguments: list[str] | None = None) -> int:
    """Run a command; the exit status."""
    _open_standard_streams()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until the server takes it over
    given = sys.argv[1:] if arguments is None else arguments
    rest: list[str] = []
    if given[:1] == ["exec"] and "--" in given:
        split = given.index("--")
        given, rest = given[:split], given[split + 1 :]
    parser = _parser()
    known, unknown = parser.parse_known_args(given)
    options = vars(known)
    command = options.pop("command")
    wrong_option = any(each.startswith("-") for each in unknown[:1])
    if command == "exec" and not rest and not wrong_option:
        parser.commands[command].error("what to run goes after --: headrace exec -- pytest -q")
    if unknown:
        parser.commands[command].error(f"unrecognized arguments: {' '.join(unknown)}")
    try:
        if command == "check-config":
            return _check_config(Path(options["file"]))
        if command == "exec":
            return _exec(options, rest)
        return _serve(options)
    except SettingsError as error:
        _complain(str(error))
        return BROKER_FAILED if command == "exec" else 2
    except KeyboardInterrupt:  # before the server has taken over the signals
        return 128 + signal.SIGINT


def _complain(text: str) -> None:
    for line in text.splitlines():
        print(f"headrace: {line}", file=sys.stderr)


def _check_config(file: Path) -> int:
    # imported here, as below: mistakes and --help should not wait for them
    from api.config import check

    status, lines = asyncio.run(check(file))
    for line in lines:
        print(line, file=sys.stderr if status else sys.stdout)
    return status


def _serve(options: Mapping[str, str]) -> int:
    from api.compatibility import carry_over

    carried = carry_over(options, os.environ)
    settings, declaration = _settings(options, os.environ, carried.settings, heeded=None)
    return _run(
        settings,
        declaration,
        lambda endpoints, store: _banner(settings, endpoints, store),
        notes=carried.notes,
    )


def _exec(options: Mapping[str, str], command: list[str]) -> int:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    settings, declaration = _settings(
        {**_EXEC_SETTINGS, **options}, {}, {}, heeded=("region", "account")
    )
    return run_beside_broker(
        command,
        os.environ,
        region=settings.region,
        broker=lambda command_id, started: _run(
            settings, declaration, lambda endpoints, _: started(endpoints[0]), beside=command_id
        ),
    )


def _settings(
    options: Mapping[str, str],
    environment: Mapping[str, str],
    carried: Mapping[str, Carried],
    *,
    heeded: Collection[str] | None,
) -> "tuple[Settings, Declaration | None]":
    """All settings, and what the configuration declares; raises ``SettingsError``.

    ``heeded``: which settings the configuration of another broker may suggest; None: all.
    """
    settings = read_settings(options, environment, carried)
    if settings.config is None:
        return settings, None
    from api.config import ConfigError, load

    try:
        declaration = load(Path(settings.config))
    except ConfigError as error:
        raise SettingsError(str(error)) from None
    suggestions = declaration.server_settings.items()
    said = {name: value for name, value in suggestions if heeded is None or name in heeded}
    if "port" in said:  # where we listen is known to others; there is listened, too
        said["also_port"] = said.pop("port")
    suggested = {field: Carried(value, declaration.file) for field, value in said.items()}
    return read_settings(options, environment, {**suggested, **carried}), declaration


def _run(
    settings: Settings,
    declaration: "Declaration | None",
    started: Callable[[Sequence[str], str], None],
    *,
    notes: "Sequence[Note]" = (),
    beside: int | None = None,
) -> int:
    """Serve to the end, which comes with that of the process ``beside``, if there is one."""
    from api.logs import configure_logging
    from api.server import ServerError, serve

    configure_logging(settings.log_level, settings.log_format)
    for note in notes:
        logging.getLogger("api.compatibility").log(note.level, "%s", note.text)
    new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    with contextlib.suppress(ImportError):  # there is none on Windows
        import uvloop

        new_loop = uvloop.new_event_loop
    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            serving = serve(settings, os.environ, declaration=declaration, started=started)
            if beside is not None:
                serving = while_process_lives(beside, serving)
            return runner.run(serving)
    except ServerError as error:
        _complain(str(error))
        return 1


if __name__ == "__main__":
    sys.exit(main())
