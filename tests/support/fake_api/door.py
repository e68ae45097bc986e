"""The shortest way from a Client to the fake: what a requests.Session would be asked, answered without HTTP in between."""
from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import requests

Answer = tuple[int, dict[str, str], str]


class Session(requests.Session):
    """`answer`: (method, path, params, content type, body) -> code, headers, text."""

    def __init__(self, answer: Callable[[str, str, dict[str, str], str, Any], Answer]) -> None:
        super().__init__()
        self._answer = answer

    def request(self, method: str, url: str, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        path = "/" + url.split("/", 3)[3]
        params = {key: str(value) for key, value in (kwargs.get("params") or {}).items()}
        content_type = (kwargs.get("headers") or {}).get("Content-Type", "")
        code, headers, text = self._answer(method, path, params, content_type, kwargs.get("data"))
        response = requests.Response()
        response.status_code, response.raw, response.encoding = code, io.BytesIO(text.encode()), "utf-8"
        response.headers.update(headers)
        return response
