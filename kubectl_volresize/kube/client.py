"""A small gateway to the API server: raw dicts, our errors, a timeout on every call.

Reads are retried on 429, 5xx and broken connections, honouring Retry-After. Writes are not, since whether they happened is unknown: the engine
observes again and decides again, which is the same answer for every doubt. Source: API concepts, "Retry-After", `metav1.Status`.
"""
from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Any

import requests

from ..errors import AlreadyExists, ApiError, Conflict, Forbidden, Gone, NotFound, TooManyRequests, Unprocessable, Unreachable

Object = dict[str, Any]
Objects = list[Object]
_TIMEOUT = (10, 60)  # seconds to connect, seconds without a byte
_TRIES = 6
_LONGEST_PAUSE = 30.0  # seconds between two tries, whatever Retry-After says
_PAGE = 500
_BY_STATUS: dict[int, type[ApiError]] = {403: Forbidden, 404: NotFound, 409: Conflict, 410: Gone, 422: Unprocessable, 429: TooManyRequests}


def _error(response: requests.Response, verb: str, path: str) -> ApiError:
    try:
        body = response.json()
    except ValueError:
        body = {}
    # Only a Status speaks for the API server; a proxy's page could be long, or hold secrets.
    is_status = isinstance(body, dict) and body.get("kind") == "Status"
    message = str(body.get("message", "")) if is_status else (response.reason or "")
    reason = str(body.get("reason", "")) if is_status else ""
    kind = AlreadyExists if reason == "AlreadyExists" else _BY_STATUS.get(response.status_code, ApiError)
    causes = (body.get("details") or {}).get("causes") or [] if is_status else []
    if any(cause.get("field") == "metadata.uid" for cause in causes):
        # A patch meant for another object of that name: where a PUT gets 409, a patch is told that its uid is an immutable field (seen).
        kind = Conflict
    return kind(status=response.status_code, verb=verb, path=path, message=message[:2000], reason=reason, body=body if is_status else {},
                retry_after=_seconds(response.headers))


def _seconds(headers: Mapping[str, str]) -> float | None:
    """What Retry-After asks for, a number or a date of the server's own clock (RFC 9110, 10.2.3); None for what cannot be read."""
    wanted = headers.get("Retry-After", "")
    try:
        seconds = float(wanted)
    except ValueError:
        try:
            until, now = (parsedate_to_datetime(text) for text in (wanted, headers.get("Date", "")))
            seconds = (until - now).total_seconds()
        except (ValueError, TypeError):
            return None
    return max(seconds, 0.0) if isfinite(seconds) else None


class Client:
    """One API server. `pause` sleeps between retries (seconds)."""

    def __init__(self, session: requests.Session, server: str, pause: Callable[[float], None] = time.sleep) -> None:
        self._session, self.server, self._pause = session, server.rstrip("/"), pause
        self._timeout: tuple[float, float | None] = _TIMEOUT

    def give_up_after(self, seconds: float) -> None:
        """Of each answer, and of the connection that it comes by; 0 for never. What is followed or watched has its own time."""
        self._timeout = (min(_TIMEOUT[0], seconds), seconds) if seconds > 0 else (_TIMEOUT[0], None)

    # -- reads

    def get(self, path: str, **params: Any) -> Object:
        """One object. Raises NotFound, Forbidden, ApiError, Unreachable."""
        return self._read("get", path, params)

    def find(self, path: str) -> Object | None:
        """One object, or None when it is not there."""
        try:
            return self.get(path)
        except NotFound:
            return None

    def list(self, path: str, label_selector: str = "", **params: Any) -> Objects:
        """All items, page by page. Each item gets the kind and apiVersion that a list leaves out."""
        if label_selector:
            params["labelSelector"] = label_selector
        items: Objects = []
        page = self._read("list", path, {**params, "limit": _PAGE})
        while True:
            kind, version = page.get("kind", "").removesuffix("List"), page.get("apiVersion", "")
            items += [{"apiVersion": version, "kind": kind, **item} for item in page.get("items") or []]
            token = page.get("metadata", {}).get("continue")
            if not token:
                return items
            page = self._read("list", path, {**params, "limit": _PAGE, "continue": token})

    def _read(self, verb: str, path: str, params: dict[str, Any]) -> Object:
        for attempt in range(_TRIES):
            try:
                return self._call(verb, "GET", path, params=params)
            except (ApiError, Unreachable) as error:
                retryable = isinstance(error, Unreachable) or (isinstance(error, ApiError) and (error.status == 429 or error.status >= 500))
                if not retryable or attempt == _TRIES - 1:
                    raise
                wanted = (error.retry_after if isinstance(error, ApiError) else None) or min(0.2 * 2**attempt, 5.0)
                self._pause(min(wanted, _LONGEST_PAUSE))
        raise AssertionError("unreachable")

    # -- writes

    def create(self, path: str, body: Object, dry_run: bool = False, strict: bool = False) -> Object:
        """POST. `strict`: a field that the server does not know is an error (fieldValidation=Strict), which it drops otherwise."""
        return self._call("create", "POST", path, params={**_dry(dry_run), **({"fieldValidation": "Strict"} if strict else {})}, body=body)

    def replace(self, path: str, body: Object, dry_run: bool = False) -> Object:
        """PUT; guarded by body.metadata.resourceVersion when it has one. Raises Conflict."""
        return self._call("replace", "PUT", path, params=_dry(dry_run), body=body)

    def json_patch(self, path: str, ops: Objects, dry_run: bool = False) -> Object:
        """RFC 6902; a failing `test` raises Unprocessable."""
        return self._call("patch", "PATCH", path, params=_dry(dry_run), body=ops, content_type="application/json-patch+json")

    def merge_patch(self, path: str, body: Object, dry_run: bool = False) -> Object:
        """RFC 7386; guarded when body.metadata carries a resourceVersion or uid. Raises Conflict."""
        return self._call("patch", "PATCH", path, params=_dry(dry_run), body=body, content_type="application/merge-patch+json")

    def apply(self, path: str, body: Object, field_manager: str, force: bool = False, dry_run: bool = False) -> Object:
        """Server-side apply. Raises Conflict when another manager owns a field and `force` is not set."""
        params = {**_dry(dry_run), "fieldManager": field_manager, "force": str(force).lower()}
        return self._call("apply", "PATCH", path, params=params, body=body, content_type="application/apply-patch+yaml")

    def delete(self, path: str, *, uid: str | None = None, resource_version: str | None = None, propagation: str | None = None,
               grace_seconds: int | None = None, dry_run: bool = False) -> Object:
        """DELETE with preconditions: Conflict when the object is another one (uid) or has changed (resource_version)."""
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if dry_run:
            # In the body: the server ignores the query's options as soon as there is a body, and would delete (seen).
            options["dryRun"] = ["All"]
        preconditions = {key: value for key, value in (("uid", uid), ("resourceVersion", resource_version)) if value}
        for key, value in (("preconditions", preconditions or None), ("propagationPolicy", propagation), ("gracePeriodSeconds", grace_seconds)):
            if value is not None:
                options[key] = value
        return self._call("delete", "DELETE", path, params=_dry(dry_run), body=options)

    def evict(self, namespace: str, pod: str, *, uid: str, dry_run: bool = False) -> Object:
        """The Eviction API: TooManyRequests when a PodDisruptionBudget forbids it, ApiError 500 when two select the pod."""
        options: Object = {"preconditions": {"uid": uid}}
        if dry_run:
            options["dryRun"] = ["All"]
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace}, "deleteOptions": options}
        return self._call("evict", "POST", f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction", params=_dry(dry_run), body=body)

    # -- streams

    def watch(self, path: str, resource_version: str, timeout_seconds: int, **params: Any) -> Iterator[tuple[str, Object]]:
        """(type, object) until `timeout_seconds` are over. Raises Gone when the caller must list again."""
        query = {**params, "watch": "true", "resourceVersion": resource_version, "timeoutSeconds": timeout_seconds, "allowWatchBookmarks": "true"}
        with self._send("GET", "watch", path, params=query, stream=True, timeout=(10, timeout_seconds + 30)) as response:
            for line in _lines(response, self.server):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    status = event["object"]
                    kind = Gone if status.get("code") == 410 else ApiError
                    raise kind(status=status.get("code", 0), verb="watch", path=path, message=status.get("message", ""))
                yield event["type"], event["object"]

    def log(self, namespace: str, pod: str, *, silence: float | None = None, **params: Any) -> Iterator[str]:
        """Lines of a container's log; with follow=True until it ends. Raises ApiError 400 while the container has not started.

        Raises Unreachable when the connection breaks, or after `silence` seconds without a byte; None, for a mover may be silent for as long as its
        passes take, waits for ever.
        """
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        query = {key: str(value).lower() if isinstance(value, bool) else value for key, value in params.items()}
        with self._send("GET", "log", path, params=query, stream=True, timeout=(10, silence)) as response:
            for line in _lines(response, self.server):
                yield line.decode("utf-8", "replace")

    # -- plumbing

    def _call(self, verb: str, method: str, path: str, *, params: dict[str, Any], body: Any = None, content_type: str = "application/json") -> Object:
        with self._send(method, verb, path, params=params, data=None if body is None else json.dumps(body),
                        headers={"Content-Type": content_type, "Accept": "application/json"}, timeout=self._timeout) as response:
            try:
                answer: Object = response.json()
            except ValueError as error:
                raise Unreachable(f"an answer that is not JSON to {verb} {path}", server=self.server) from error
            return answer

    def _send(self, method: str, verb: str, path: str, **kwargs: Any) -> requests.Response:
        try:
            response = self._session.request(method, self.server + path, **kwargs)
        except requests.RequestException as error:
            raise Unreachable(_cause(error), server=self.server) from error
        if response.status_code >= 400:
            with response:
                raise _error(response, verb, path)
        return response


def _cause(error: requests.RequestException) -> str:
    """What urllib3 says at the end of its chain (`Connection refused`), without the names of its classes and our URL around it."""
    inner = error.args[0] if error.args else error
    return str(getattr(inner, "reason", inner)).split("): ", 1)[-1]


def _dry(dry_run: bool) -> dict[str, str]:
    return {"dryRun": "All"} if dry_run else {}


def _lines(response: requests.Response, server: str) -> Iterator[bytes]:
    try:
        yield from (line for line in response.iter_lines(chunk_size=None) if line)
    except requests.RequestException as error:
        raise Unreachable(f"the stream broke: {error}", server=server) from error
