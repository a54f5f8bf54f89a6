"""Waiting for what can only be seen from outside: for the event, never for a duration."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

_TIMEOUT_S = 10
_T = TypeVar("_T")


async def until(condition: Callable[[], bool]) -> None:
    """Return as soon as the condition holds; fail if it never does."""
    async with asyncio.timeout(_TIMEOUT_S):
        while not condition():
            await asyncio.sleep(0.001)


async def until_called(read: Callable[[], Awaitable[_T]], condition: Callable[[_T], bool]) -> _T:
    """What ``read`` gives as soon as the condition holds for it; fail if it never does."""
    async with asyncio.timeout(_TIMEOUT_S):
        while not condition(value := await read()):
            await asyncio.sleep(0.001)
    return value


async def soon(awaitable: Awaitable[_T], *, timeout_s: float = _TIMEOUT_S) -> _T:
    """What is about to be there; fail rather than hang if it is not."""
    return await asyncio.wait_for(awaitable, timeout_s)
