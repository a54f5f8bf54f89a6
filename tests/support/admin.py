"""A client of Headrace's own paths."""

from typing import Any

import httpx

Document = dict[str, Any]


class AdminClient:
    """Calls ``/_headrace/…``; every answer must have the status that is expected."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def call(
        self, method: str, path: str, *, status: int = 200, json: object = None, **query: Any
    ) -> Document:
        """The JSON that answers one call."""
        response = await self._http.request(
            method,
            f"/_headrace/{path}",
            params={name: _text(value) for name, value in query.items()},
            json=json,
        )
        assert response.status_code == status, response.text
        document: Document = response.json()
        assert (status >= 400) == ("error" in document)
        return document

    async def get(self, path: str, **query: Any) -> Document:
        """See ``call``."""
        return await self.call("GET", path, **query)

    async def post(self, path: str, **query: Any) -> Document:
        """See ``call``."""
        return await self.call("POST", path, **query)

    async def put(self, path: str, **query: Any) -> Document:
        """See ``call``."""
        return await self.call("PUT", path, **query)

    async def delete(self, path: str, **query: Any) -> Document:
        """See ``call``."""
        return await self.call("DELETE", path, **query)

    async def refusal(self, method: str, path: str, **query: Any) -> tuple[int, str]:
        """Status and text of the refusal that a call must meet."""
        response = await self._http.request(method, f"/_headrace/{path}", **query)
        assert response.status_code >= 400, response.text
        return response.status_code, response.json()["error"]


def _text(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value
