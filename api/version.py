"""Which Headrace this is."""

from importlib import metadata


def version() -> str:
    """The version that is installed."""
    try:
        return metadata.version("headrace")
    except metadata.PackageNotFoundError:  # run from a checkout
        return "(not installed)"
