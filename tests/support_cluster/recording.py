"""What an API server answered, kept so that the same look can be taken again without one: tests/plan/recorded/ holds such looks of a real cluster."""
from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from kubectl_volresize.errors import ApiError
from kubectl_volresize.kube.client import Client
from kubectl_volresize.model.objects import Object

Answers = dict[str, Any]


class Recorder(Client):
    """A client that remembers each answer by `VERB path`; errors as {"status": .., "message": ..}."""

    def __init__(self, client: Client) -> None:
        super().__init__(client._session, client.server)
        self.answers: Answers = {}

    def get(self, path: str, **params: Any) -> Object:
        answer: Object = self._kept("get", path, lambda: super(Recorder, self).get(path, **params))
        return answer

    def list(self, path: str, label_selector: str = "", **params: Any) -> list[Object]:
        answer: list[Object] = self._kept("list", path, lambda: super(Recorder, self).list(path, label_selector, **params))
        return answer

    def create(self, path: str, body: Object, dry_run: bool = False, strict: bool = False) -> Object:
        answer: Object = self._kept(f"create {body['kind']} {body['metadata'].get('name', '') if 'metadata' in body else ''}".strip(), path,
                                    lambda: super(Recorder, self).create(path, body, dry_run, strict))
        return answer

    def log(self, namespace: str, pod: str, *, silence: float | None = None, **params: Any) -> Iterator[str]:
        raise AssertionError("a look before the start reads no log")

    def _kept(self, verb: str, path: str, ask: Any) -> Any:
        try:
            answer = ask()
        except ApiError as error:
            self.answers[f"{verb} {path}"] = {"status": error.status, "message": error.fields["message"], "reason": error.reason}
            raise
        kept = copy.deepcopy(answer)
        for item in kept if isinstance(kept, list) else [kept]:
            _without_noise(item, made=verb.startswith("create"))
        self.answers[f"{verb} {path}"] = {"answer": kept}
        return answer


def _without_noise(item: Object, made: bool) -> None:
    """What is another at each look and decides nothing: who wrote which field, a node's heartbeat, what an object that was only tried is given."""
    meta = item.get("metadata", {})
    for key in ("managedFields", *(("uid", "creationTimestamp") if made else ()), *(("resourceVersion",) if item.get("kind") == "Node" else ())):
        meta.pop(key, None)
    for source in ("hostPath", "local"):
        if source in item.get("spec", {}):
            item["spec"][source] = {"path": "/volume"}
    if item.get("kind") == "Node":
        conditions = item["status"].get("conditions") or []
        item["status"] = {"conditions": [{key: one[key] for key in ("type", "status")} for one in conditions]}
