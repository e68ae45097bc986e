"""A small API server on a real socket, for what a mock of `requests` cannot do: a log that streams, and connections that break in the middle."""
from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from builders import NAMESPACE

Object = dict[str, Any]
MIGRATION, JOB = "web", "web-runner"


class Cut(Exception):
    """The connection breaks here."""


class Migration:
    """One migration in namespace `prod`: the VolumeResize, its Job, the runner's pods and their logs.

    `logs`: (stamp, text) by pod, oldest first. `cuts`: after how many bytes of a log's answer the connection breaks, one entry an answer, then
    never. `on_log_end`: called when a log was read to its end; what it changes is what the next question finds. `refusals`: HTTP codes for the
    next questions, `log_refusals` for the next questions for a log. `endless`: while it is not set, a log that is followed does not end.
    """

    def __init__(self) -> None:
        self.status: Object = {"phase": "Syncing"}
        self.job_status: Object = {}
        self.pods: dict[str, Object] = {}
        self.logs: dict[str, list[tuple[str, str]]] = {}
        self.events: list[Object] = []
        self.cuts: list[int] = []
        self.refusals: list[int] = []
        self.log_refusals: list[int] = []
        self.has_job = True
        self.on_log_end: Callable[[str], None] = lambda pod: None
        self.log_questions: list[dict[str, str]] = []
        self.endless = threading.Event()

    def add_pod(self, name: str, phase: str = "Running", waiting: Object | None = None) -> None:
        state = {"waiting": waiting} if waiting else {"running": {}}
        self.pods[name] = {"metadata": {"name": name, "uid": f"uid-{name}", "namespace": NAMESPACE, "creationTimestamp": "2026-01-01T00:00:00Z"},
                           "status": {"phase": phase, "containerStatuses": [{"name": "runner", "state": state}]}}
        self.logs.setdefault(name, [])

    def end(self, phase: str, reason: str = "", message: str = "as it should be") -> None:
        """The migration is over: what the runner records, then the end of its Job."""
        self.status = {"phase": phase, "message": message,
                       "conditions": [{"type": "Ready", "status": "True" if phase == "Completed" else "False", "reason": reason or phase}]}
        self.end_job("Complete" if phase == "Completed" else "Failed")

    def end_job(self, how: str, **more: str) -> None:
        self.job_status = {"conditions": [{"type": how, "status": "True", **more}]}
        for pod in self.pods.values():
            pod["status"]["phase"] = "Succeeded" if how == "Complete" else "Failed"

    def answer(self, path: str, query: dict[str, str]) -> Object | Iterator[bytes]:
        """An object, or the lines of a log. Raises KeyError for what is not there."""
        name = path.rsplit("/", 1)[1]
        if name == "log":
            return self._log(path.split("/")[-2], query)
        migration = {"apiVersion": "storage.maurice.fr/v1alpha1", "kind": "VolumeResize", "status": self.status,
                     "metadata": {"name": MIGRATION, "namespace": NAMESPACE, "creationTimestamp": "2026-01-01T00:00:00Z",
                                  "resourceVersion": str(zlib.crc32(json.dumps(self.status).encode()))},
                     "spec": {"statefulSetName": "web", "volumes": [{"name": "data", "newSize": "500Mi"}]}}
        if name == MIGRATION:
            return migration
        job = {"metadata": {"name": JOB, "namespace": NAMESPACE, "creationTimestamp": "2026-01-01T00:00:00Z"}, "status": self.job_status}
        items = {"volumeresizes": [migration], "jobs": [job] if self.has_job else [], "pods": list(self.pods.values()), "events": self.events}
        return {"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items[name]}

    def _log(self, pod: str, query: dict[str, str]) -> Iterator[bytes]:
        self.log_questions.append(query)
        since = query.get("sinceTime", "")
        lines = [f"{stamp} {text}\n".encode() for stamp, text in self.logs[pod] if stamp[:19] >= since[:19]]
        cut = self.cuts.pop(0) if self.cuts else None
        sent = 0
        for line in lines:
            if cut is not None and sent + len(line) > cut:
                yield line[:cut - sent]
                raise Cut
            sent += len(line)
            yield line
        if query.get("follow") == "true":
            self.endless.wait()
            self.on_log_end(pod)


@contextmanager
def serving(migration: Migration) -> Iterator[str]:
    """The URL of a server for it."""
    migration.endless.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            split = urlsplit(self.path)
            refusals = migration.log_refusals if split.path.endswith("/log") and migration.log_refusals else migration.refusals
            if refusals:
                code = refusals.pop(0)
                self._send(code, {"kind": "Status", "message": "the server is on its way down", "code": code})
                return
            try:
                answer = migration.answer(split.path, dict(parse_qsl(split.query)))
            except KeyError:
                self._send(404, {"kind": "Status", "message": "not found", "reason": "NotFound", "code": 404})
                return
            if isinstance(answer, dict):
                self._send(200, answer)
            else:
                self._stream(answer)

        def _send(self, code: int, answer: Object) -> None:
            body = json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _stream(self, lines: Iterator[bytes]) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            try:
                for line in lines:
                    self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
                self.wfile.write(b"0\r\n\r\n")
            except Cut:
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing: stderr is what the tests look at."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        migration.endless.set()
        server.shutdown()
        server.server_close()
        thread.join()
