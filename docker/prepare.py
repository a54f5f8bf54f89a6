"""Makes the environment that an image is built from small, and quick to start.

Run while the image is built, by the Python of that environment:

- Of botocore's descriptions of services, which are most of it, those are kept that Headrace has to
  do with.
- Everything installed is compiled, and what Headrace imports of Python's own library too: official
  Python images come without compiled files, and the image's user could not write them.  They go to
  ``PYTHONPYCACHEPREFIX``, and hold whatever the times of the sources.
"""

import compileall
import importlib
import pkgutil
import py_compile
import shutil
import sys
import sysconfig
from pathlib import Path

PACKAGES = ("api", "broker", "storage", "boto3", "uvicorn.server", "uvicorn.lifespan.off")
SERVICES = {"sqs", "sns", "sts", "lambda", "firehose"}

_INSTALLED = Path(sysconfig.get_path("purelib"))
_STANDARD = Path(sysconfig.get_path("stdlib"))
_VALID = py_compile.PycInvalidationMode.UNCHECKED_HASH


def drop_services() -> None:
    """Remove what botocore knows of other services."""
    for path in (_INSTALLED / "botocore" / "data").iterdir():
        if path.is_dir() and path.name not in SERVICES:
            shutil.rmtree(path)


def import_all() -> None:
    """Import what the server may import."""
    for name in PACKAGES:
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(getattr(package, "__path__", ()), f"{name}."):
            if name != "boto3":
                importlib.import_module(module.name)


def compile_all() -> bool:
    """Compile what is installed, and what has been imported; whether all of it could be."""
    imported = [str(getattr(module, "__file__", None)) for module in sys.modules.values()]
    standard = [path for path in imported if Path(path).is_relative_to(_STANDARD)]
    for path in standard:
        if path.endswith(".py"):
            py_compile.compile(path, doraise=True, invalidation_mode=_VALID)
    return compileall.compile_dir(_INSTALLED, maxlevels=50, quiet=1, invalidation_mode=_VALID)


if __name__ == "__main__":
    drop_services()
    import_all()
    sys.exit(not compile_all())
