"""What people bring along from other brokers: environment variables, and files at known places.

Variables of LocalStack, MiniStack, Floci, fakecloud and fauxqs, configuration files of ElasticMQ
and GoAWS.  What applies is taken as one of our settings; of what does not, people are told.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from api.settings import Carried, Settings, environment_name, is_service_link, option_name

#: configuration files that are read if no other is named; the first there is
CONFIG_FILES = ("opt/elasticmq.conf", "conf/goaws.yaml")
#: folders whose scripts are run if no other is named
INIT_FOLDERS = (
    "etc/localstack/init/ready.d",
    "etc/floci/init/ready.d",
    "docker-entrypoint-initaws.d",
)
#: where configurations are found that nobody reads, for they were put a bit beside
_NEAR_MISSES = ("etc/elasticmq.conf", "elasticmq.conf", "goaws.yaml", "opt/goaws.yaml")
#: where scripts of other moments stand, and such as were put a bit beside
_OTHER_INIT_FOLDERS = (
    *(f"etc/localstack/init/{each}" for each in ("boot.d", "start.d", "shutdown.d")),
    *(f"etc/floci/init/{each}" for each in ("boot.d", "start.d", "stop.d")),
)
_SCRIPTS_BESIDE = ("etc/localstack/init", "etc/floci/init", "etc/localstack")

_SERVICES = ("sqs", "sns", "sts")
_DEFAULT_PORT = str(Settings.model_fields["port"].default)
_OFF = ("", "0", "false", "no", "off")
_LOG_LEVELS = {
    "trace": "debug",
    "trace-internal": "debug",
    "debug": "debug",
    "info": "info",
    "warn": "warning",
    "warning": "warning",
    "error": "error",
}
_FOREIGN_PREFIXES = ("LOCALSTACK_", "MINISTACK_", "FLOCI_", "FAKECLOUD_", "FAUXQS_")
#: what Kubernetes and Docker tell of a neighbour of that name
_LINK = re.compile(r"[A-Z]+_(SERVICE_(HOST|PORT)|PORT)(_\w+)?|[A-Z]+_(NAME|ENV_\w+)")


class Note(NamedTuple):
    """One line for the log."""

    level: int  # as of ``logging``
    text: str


class CarriedOver(NamedTuple):
    """What was found: settings by field name, and what is to be said of it."""

    settings: dict[str, Carried]
    notes: list[Note]


def carry_over(
    options: Mapping[str, str], environment: Mapping[str, str], root: Path = Path("/")
) -> CarriedOver:
    """What of other brokers' settings holds beside our own, given as options and variables.

    Our own settings win.  ``root``: where the known places are.  With ``--compat off`` it is
    nothing.
    """
    if _own("compat", options, environment) == "off":
        return CarriedOver({}, [])
    variables = {k: v for k, v in environment.items() if not is_service_link(k, v)}
    found = _Finder(options, variables, root)
    found.variables()
    found.files()
    return CarriedOver(found.settings, found.notes)


def init_folders(settings: Settings, root: Path = Path("/")) -> list[Path]:
    """The folders whose scripts are to be run at the start, in order; one that is named, or all."""
    if settings.init_folder is not None:
        return [Path(settings.init_folder)]
    if settings.compat == "off":
        return []
    return [folder for each in INIT_FOLDERS if _is_folder(folder := root / each)]


def _own(field: str, options: Mapping[str, str], environment: Mapping[str, str]) -> str | None:
    return options.get(field, environment.get(environment_name(field)))


# --- variables ----------------------------------------------------------------------------------


def _is_on(value: str) -> bool:
    return value.strip().lower() not in _OFF


def _true_or_false(value: str) -> str:
    return "true" if _is_on(value) else "false"


def _debug(value: str) -> str | None:
    return "debug" if value.lower() in ("1", "true") else None


def _level(value: str) -> str | None:
    return _LOG_LEVELS.get(value.lower(), value)


def _https(value: str) -> str:
    return f"https://{value}"


#: Our setting for a variable, and how its value becomes one (None: it says nothing).  Of several
#: for one setting the first wins.
_TAKEN: dict[str, tuple[str, Callable[[str], str | None]]] = {
    "EDGE_BIND_HOST": ("host", str),
    "EDGE_PORT": ("port", str),
    "GATEWAY_PORT": ("port", str),
    "FAUXQS_PORT": ("port", str),
    "DEFAULT_REGION": ("region", str),
    "MINISTACK_REGION": ("region", str),
    "FLOCI_DEFAULT_REGION": ("region", str),
    "FAKECLOUD_REGION": ("region", str),
    "FAUXQS_DEFAULT_REGION": ("region", str),
    "FLOCI_DEFAULT_ACCOUNT_ID": ("account", str),
    "FAKECLOUD_ACCOUNT_ID": ("account", str),
    "SQS_ENDPOINT_STRATEGY": ("queue_urls", str.lower),
    "SQS_DELAY_RECENTLY_DELETED": ("recreate_delay", _true_or_false),
    "SNS_CERT_URL_HOST": ("signing_cert_url", _https),
    "SNS_SES_SENDER_ADDRESS": ("mail_from", str),
    "LS_LOG": ("log_level", _level),
    "DEBUG": ("log_level", _debug),
}
#: variables that name the host of URLs
_HOSTS = ("LOCALSTACK_HOST", "HOSTNAME_EXTERNAL", "MINISTACK_HOST", "FLOCI_HOSTNAME")
#: variables that say whether messages are kept, with the one that says where, and where by default
_KEEPERS = {
    "PERSISTENCE": ("DATA_DIR", "var/lib/localstack"),
    "PERSIST_STATE": ("STATE_DIR", "tmp/ministack-state"),
    "FLOCI_STORAGE_MODE": ("FLOCI_STORAGE_PERSISTENT_PATH", "app/data"),
}

_NO_METRICS = "nothing is sent to CloudWatch"
_DURABLE = "what is answered is stored already (see --durability)"
_NO_ENFORCEMENT = "policies and signatures are not enforced"
_FUNCTIONS = "functions run elsewhere (see --lambda-endpoint)"
_NO_TLS = "Headrace speaks HTTP only: put a proxy with TLS before it"
_FREE = "there is nothing to activate"
#: Why a variable has no effect, if it is on.
_NOT_TAKEN = {
    "EAGER_SERVICE_LOADING": "all services are there from the start",
    "SQS_DELAY_PURGE_RETRY": "a second purge within 60 s is always refused, as by AWS",
    "SQS_ENABLE_MESSAGE_RETENTION_PERIOD": "messages always expire, as on AWS",
    "SQS_DISABLE_CLOUDWATCH_METRICS": _NO_METRICS,
    "SQS_CLOUDWATCH_METRICS_REPORT_INTERVAL": _NO_METRICS,
    "SQS_DISABLE_MAX_NUMBER_OF_MESSAGE_LIMIT": "a receive brings 10 messages at most, as on AWS",
    "SNAPSHOT_SAVE_STRATEGY": _DURABLE,
    "SNAPSHOT_LOAD_STRATEGY": _DURABLE,
    "SNAPSHOT_FLUSH_INTERVAL": _DURABLE,
    "ENFORCE_IAM": _NO_ENFORCEMENT,
    "FLOCI_SERVICES_IAM_ENFORCEMENT_ENABLED": _NO_ENFORCEMENT,
    "FAKECLOUD_VERIFY_SIGV4": _NO_ENFORCEMENT,
    "LAMBDA_EXECUTOR": _FUNCTIONS,
    "LAMBDA_DOCKER_NETWORK": _FUNCTIONS,
    "LAMBDA_REMOVE_CONTAINERS": _FUNCTIONS,
    "USE_SSL": _NO_TLS,
    "MINISTACK_SSL_CERT": _NO_TLS,
    "MINISTACK_SSL_KEY": _NO_TLS,
    "FLOCI_TLS_ENABLED": _NO_TLS,
    "ACTIVATE_PRO": _FREE,
    "LOCALSTACK_API_KEY": _FREE,
    "LOCALSTACK_AUTH_TOKEN": _FREE,
    "LOCALSTACK_ACKNOWLEDGE_ACCOUNT_REQUIREMENT": _FREE,
}
#: what LocalStack tells the programs that it runs: meant for clients
_FOR_CLIENTS = "LOCALSTACK_HOSTNAME"


def known_variables() -> set[str]:
    """All variables of other brokers of which something is known."""
    folders = {folder for folder, _ in _KEEPERS.values()}
    beside = {"FLOCI_BASE_URL", "GATEWAY_LISTEN", "SERVICES", *_HOSTS, *_KEEPERS}
    return {*_TAKEN, *_NOT_TAKEN, *beside, *folders}


class _Finder:
    """Looks for what is there, and remembers what it finds."""

    def __init__(
        self, options: Mapping[str, str], environment: Mapping[str, str], root: Path
    ) -> None:
        self.settings: dict[str, Carried] = {}
        self.notes: list[Note] = []
        self._options = options
        self._environment = environment
        self._root = root

    def variables(self) -> None:
        """Take what variables say."""
        for name, (field, converted) in _TAKEN.items():
            value = self._environment.get(name)
            if value:
                self._take(field, converted(value), name)
        self._listen()
        self._public_url()
        self._store()
        self._services()
        for name, reason in _NOT_TAKEN.items():
            if _is_on(self._environment.get(name, "")):
                self._warn(f"{name} has no effect: {reason}")
        for name in self._unknown():
            self._warn(f"{name} has no effect: Headrace knows no such variable")

    def _unknown(self) -> Iterator[str]:
        known = {*known_variables(), _FOR_CLIENTS}
        for name in sorted(self._environment):
            is_foreign = name.startswith(_FOREIGN_PREFIXES) and _LINK.fullmatch(name) is None
            if is_foreign and name not in known:
                yield name

    def _listen(self) -> None:
        """``GATEWAY_LISTEN``: addresses such as ``0.0.0.0:4566,:443``, of which 443 is for TLS."""
        name = "GATEWAY_LISTEN"
        hosts, ports = [], []
        for address in self._environment.get(name, "").split(","):
            host, _, port = address.strip().rpartition(":") if ":" in address else (address, "", "")
            hosts += [host.strip("[] ")] if host.strip() else []
            if port == "443":
                self._warn(f"{name}: 443 is not listened on: {_NO_TLS}")
            elif port:
                ports.append(port)
        if hosts:
            self._take("host", hosts[0], name)
        if ports:
            self._take("port", ports[0], name)
        if ports[1:]:
            self._take("also_port", ",".join(ports[1:]), name)

    def _public_url(self) -> None:
        for name in _HOSTS:
            host = self._environment.get(name)
            if host and re.search(r":\d+$", host) is None:
                carried = self.settings.get("port")
                port = _own("port", self._options, self._environment) or (
                    carried.value if carried else _DEFAULT_PORT
                )
                if port == "0":
                    self._warn(f"{name} has no effect: it names no port, and --port is 0")
                    continue
                host = f"{host}:{port}"
            if host:
                self._take("public_url", f"http://{host}", name)
        if url := self._environment.get("FLOCI_BASE_URL"):
            self._take("public_url", url, "FLOCI_BASE_URL")

    def _store(self) -> None:
        for name, (folder_name, usual_folder) in _KEEPERS.items():
            value = self._environment.get(name)
            if not value:
                continue
            if not _is_on(value) or value == "memory":
                self._take("store", "memory", name)
                continue
            folder = Path(self._environment.get(folder_name) or self._root / usual_folder)
            if not _is_folder(folder):
                continue  # whoever keeps nothing there does not mind where it is kept
            self._take("store", f"sqlite:{folder / 'headrace.db'}", name)
            own = _own("store", self._options, self._environment)
            if own is not None and not own.startswith(f"sqlite:{folder}/"):
                self._warn(f"{name}: nothing is kept in {folder}, but in {own}, as is set")

    def _services(self) -> None:
        named = re.split(r"[,\s]+", self._environment.get("SERVICES", "").strip())
        asked = [each.partition(":")[0].lower() for each in named if each]
        others = [each for each in asked if each not in _SERVICES]
        if others:
            self._warn(f"SERVICES: there is no {', '.join(others)} here, only sqs, sns and sts")

    def _take(self, field: str, value: str | None, source: str) -> None:
        if value is None:
            return
        if _own(field, self._options, self._environment) is not None:
            own = option_name(field) if field in self._options else environment_name(field)
            self._say(logging.INFO, f"{source} has no effect: {own} is set")
            return
        if field in self.settings:
            self._say(logging.INFO, f"{source} has no effect: {self.settings[field].source} is set")
            return
        try:
            Settings.model_validate({field: value})
        except ValidationError:
            written = self._environment[source]
            shown = repr(written) if written == value else f"{written!r}, as {value!r},"
            self._warn(f"{source} has no effect: {shown} is nothing for {option_name(field)}")
            return
        self.settings[field] = Carried(value, source)
        self._say(logging.INFO, f"{source} is taken as {option_name(field)} {value}")

    def _warn(self, text: str) -> None:
        self._say(logging.WARNING, text)

    def _say(self, level: int, text: str) -> None:
        self.notes.append(Note(level, text))

    # --- files ----------------------------------------------------------------------------------

    def files(self) -> None:
        """Take the configuration at a known place, and tell of what is at others."""
        config = _own("config", self._options, self._environment)
        for each in CONFIG_FILES:
            path = self._root / each
            if not _exists(path) or (config is not None and _is_same(path, Path(config))):
                continue
            if config is None:
                config = str(path)
                self.settings["config"] = Carried(config, config)
                self._say(logging.INFO, f"{path} is read, as if by --config")
            else:
                self._warn(f"{path} is not read: the configuration is {config}")
        for each in _NEAR_MISSES:
            path = self._root / each
            if _exists(path) and (config is None or not _is_same(path, Path(config))):
                self._warn(f"{path} is not read: name it by --config {path}")
        self._scripts()

    def _scripts(self) -> None:
        own = _own("init_folder", self._options, self._environment)
        run = [Path(own)] if own is not None else [self._root / each for each in INIT_FOLDERS]
        reason = "scripts run at the start, from ready.d"
        for each in (*INIT_FOLDERS, *_OTHER_INIT_FOLDERS):
            folder = self._root / each
            if not _entries(folder):
                continue
            if any(_is_same(folder, one) for one in run):
                self._say(logging.INFO, f"{folder}: its scripts are run")
            else:
                why = f"--init-folder is {own}" if each in INIT_FOLDERS else reason
                self._warn(f"{folder}: its scripts are not run: {why}")
        for each in _SCRIPTS_BESIDE:
            folder = self._root / each
            for path in _entries(folder) if folder not in run else []:
                if path.suffix in (".sh", ".py"):
                    self._warn(f"{path} is not run: {reason}")


# Somebody else's folders need not be readable, and links may lead anywhere.


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _is_same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        return path == other
