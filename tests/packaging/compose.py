"""What compose.yaml says, read as its tests and the test of the image need it."""

from dataclasses import dataclass
from typing import Any

import yaml

from tests.support.process import ROOT


@dataclass(frozen=True)
class Mount:
    """A folder of this machine, or a volume, at a path within a container."""

    source: str
    target: str
    read_only: bool


@dataclass(frozen=True)
class Service:
    """One service, defaults filled in."""

    raw: dict[str, Any]

    @property
    def read_only(self) -> bool:
        """Whether the container cannot write to its image."""
        return bool(self.raw.get("read_only", False))

    @property
    def tmpfs(self) -> list[str]:
        """Where it has file systems in memory."""
        return list(self.raw.get("tmpfs", []))

    @property
    def mounts(self) -> list[Mount]:
        """What is mounted: ``source:target`` or ``source:target:ro``."""
        parts = [each.split(":") for each in self.raw.get("volumes", [])]
        return [Mount(source, target, "ro" in options) for source, target, *options in parts]

    @property
    def environment(self) -> dict[str, str | None]:
        """The variables; None for those that are handed on if they are set."""
        given = self.raw.get("environment", {})
        return dict(given) if isinstance(given, dict) else dict.fromkeys(given)


def read_compose() -> dict[str, Service]:
    """The services by name, in all profiles."""
    document = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
    return {name: Service(raw) for name, raw in document["services"].items()}
