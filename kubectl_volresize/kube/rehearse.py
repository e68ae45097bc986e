"""Trying a write: a server-side dry run. Admission runs, and nothing is kept: a webhook of admissionregistration.k8s.io/v1 has no side effects in
one. Source: API concepts, "Dry-run"."""
from __future__ import annotations

from collections.abc import Iterable

from ..errors import ApiError
from ..model.cluster import Answer
from ..model.objects import Object
from ..plan.rehearsals import RUNNER, Rehearsal, pod_of
from ..templates import render
from . import paths
from .client import Client

# Words of answers 5xx that speak of the object and not of the API server: a webhook that is not reached, and one that answers so itself (apiserver
# pkg/admission/plugin/webhook/errors).
_OF_WEBHOOKS = ("failed calling webhook", "admission webhook")


def rehearse(client: Client, namespace: str, wanted: Iterable[Rehearsal]) -> tuple[Answer, ...]:
    """The server's answer to each. Raises ApiError when it is in trouble itself, Unreachable."""
    return tuple(_tried(client, namespace, one) for one in wanted)


def _tried(client: Client, namespace: str, wanted: Rehearsal) -> Answer:
    body: Object = render(wanted.template, **wanted.values) if wanted.template else wanted.values
    if wanted.of == RUNNER:
        body = pod_of(body)
    path = paths.of_object({**body, "metadata": {**body["metadata"], "namespace": namespace}}).rpartition("/")[0]
    try:
        return Answer(wanted.of, body, client.create(path, body, dry_run=True))
    except ApiError as error:
        said = str(error.fields.get("message") or error.message)
        if error.status == 429 or (error.status >= 500 and not any(words in said for words in _OF_WEBHOOKS)):
            raise
        return Answer(wanted.of, body, status=error.status, message=said)
