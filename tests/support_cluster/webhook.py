"""A mutating webhook in a pod, at whose address the API server asks it: what meshes, injectors and storage operators do."""
from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from namespaces import Namespace, until

from kubectl_volresize.model.objects import Object

_PORT = 8443
# Waits for its certificate, which names the pod's address, and answers everything with the patch of its argument.
_SERVER = """
import base64, http.server, json, os, ssl, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        patch = base64.b64encode(sys.argv[1].encode()).decode()
        answer = {"uid": review["request"]["uid"], "allowed": True, "patchType": "JSONPatch", "patch": patch}
        body = json.dumps({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": answer}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
while not os.path.exists("/tmp/complete"):
    time.sleep(0.1)
server = http.server.ThreadingHTTPServer(("", %d), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/tmp/both.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
""" % _PORT


@contextmanager
def serving(namespace: Namespace, patch: list[Object], folder: Path) -> Iterator[Object]:
    """clientConfig of a webhook that answers each request with this JSON patch (RFC 6902)."""
    container = {"name": "webhook", "image": namespace.image, "command": ["python3", "-c", _SERVER, json.dumps(patch)]}
    namespace.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "webhook"},
                      "spec": {"containers": [container], "terminationGracePeriodSeconds": 0}})
    try:
        namespace.kubectl("wait", "--for=condition=Ready", "pod/webhook", "--timeout=60s")
        address = str(namespace.get("pod", "webhook")["status"]["podIP"])
        key, certificate = folder / "key.pem", folder / "certificate.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=webhook", "-addext",
                        f"subjectAltName=IP:{address}", "-keyout", key, "-out", certificate], check=True, capture_output=True)
        write = "cat >/tmp/both.pem && touch /tmp/complete"
        namespace.kubectl("exec", "-i", "webhook", "--", "sh", "-c", write, given=key.read_text() + certificate.read_text())
        yield {"url": f"https://{address}:{_PORT}/", "caBundle": base64.b64encode(certificate.read_bytes()).decode()}
    finally:
        namespace.kubectl("delete", "pod", "webhook", "--ignore-not-found")
        until("the webhook's pod is gone", lambda: "webhook" not in namespace.names("pods"))
