"""Declared resources: a file of queues, topics and subscriptions that are to be there.

``load`` reads the file, ``plan`` finds out what has to change and whether that is possible, and
``apply`` changes it; ``check`` tells people what is wrong with a file.
"""

from api.config.declarations import Declaration, load
from api.config.nodes import ConfigError
from api.config.plans import Mode, Plan, apply, check, plan

__all__ = ["ConfigError", "Declaration", "Mode", "Plan", "apply", "check", "load", "plan"]
