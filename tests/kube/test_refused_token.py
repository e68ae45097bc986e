"""Credentials that expire while a runner or `logs -f` lives: on a real socket, since what is sent again is sent below what a mock replaces."""
from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from kubectl_volresize.errors import ApiError
from kubectl_volresize.kube import auth
from kubectl_volresize.kube.client import Client


class Server(ThreadingHTTPServer):
    """Answers who bears the token `valid`, and 401 to everybody else. `seen`: (method, token, body) of each request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.valid = "first"
        self.seen: list[tuple[str, str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        token = self.headers.get("Authorization", "").partition(" ")[2]
        self.server.seen.append((self.command, token, body))
        known = token == self.server.valid
        refusal = {"kind": "Status", "status": "Failure", "reason": "Unauthorized", "message": "Unauthorized", "code": 401}
        text = json.dumps({"kind": "ConfigMap", "metadata": {"name": "seen"}} if known else refusal).encode()
        self.send_response(200 if known else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = _answer

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what was asked is in `seen`."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def in_pod(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Client, Path]:
    """The runner's client, and the file that the kubelet keeps its token in."""
    from kubernetes.config import incluster_config

    token, authority = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("first")
    authority.write_text("unused")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(authority))
    monkeypatch.setattr(incluster_config, "_join_host_port", lambda host, port: f"{host}:{port}")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.server_port))
    client = auth.in_cluster()
    client.server = server.url  # it would speak TLS
    return client, token


def test_a_refused_token_is_read_from_disk_again_and_the_request_sent_once_more(server: Server, in_pod: tuple[Client, Path]) -> None:
    client, token = in_pod
    assert client.get("/api")["kind"] == "ConfigMap"
    server.valid = "second"
    token.write_text("second")
    assert client.create("/api", {"kind": "ConfigMap", "metadata": {"name": "one"}})["kind"] == "ConfigMap"
    assert [(method, used) for method, used, _ in server.seen] == [("GET", "first"), ("POST", "first"), ("POST", "second")]
    assert json.loads(server.seen[-1][2])["metadata"] == {"name": "one"}


def test_a_token_that_is_refused_and_is_still_the_same_on_disk_is_an_error_at_once(server: Server, in_pod: tuple[Client, Path]) -> None:
    client, _ = in_pod
    server.valid = "other"
    with pytest.raises(ApiError) as refused:
        client.get("/api")
    assert refused.value.status == 401
    assert [used for _, used, _ in server.seen] == ["first"]


def test_a_new_token_that_is_refused_too_is_not_tried_for_ever(server: Server, in_pod: tuple[Client, Path]) -> None:
    client, token = in_pod
    server.valid = "other"
    token.write_text("second")
    with pytest.raises(ApiError):
        client.get("/api")
    assert [used for _, used, _ in server.seen] == ["first", "second"]


def test_a_token_file_that_is_gone_is_told_in_words(server: Server, in_pod: tuple[Client, Path]) -> None:
    client, token = in_pod
    server.valid = "other"
    token.unlink()
    with pytest.raises(auth.NoCluster, match="token"):
        client.get("/api")


def test_the_plugin_of_a_kubeconfig_is_asked_again_when_its_token_is_refused_before_it_said_that_it_would_expire(
        server: Server, tmp_path: Path) -> None:
    word = tmp_path / "word"
    word.write_text("first")
    credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "TOKEN"}}
    script = f"import pathlib; print({json.dumps(credential)!r}.replace('TOKEN', pathlib.Path({str(word)!r}).read_text()))"
    user = {"exec": {"apiVersion": credential["apiVersion"], "command": sys.executable, "args": ["-c", script], "interactiveMode": "Never"}}
    config = tmp_path / "kubeconfig"
    config.write_text(yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": "here", "clusters": [{"name": "it", "cluster": {"server": server.url}}],
        "users": [{"name": "me", "user": user}], "contexts": [{"name": "here", "context": {"cluster": "it", "user": "me"}}]}))
    client = auth.from_kubeconfig(str(config)).client
    client.get("/api")
    server.valid = "second"
    word.write_text("second")
    client.get("/api")
    assert [used for _, used, _ in server.seen] == ["first", "first", "second"]
