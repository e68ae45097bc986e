"""What whoever asks may do. Source: authorization.k8s.io/v1, which every authenticated user may ask (role system:basic-user)."""
from __future__ import annotations

from collections.abc import Sequence

from ..errors import ApiError
from ..model.objects import Object
from ..plan import rights
from ..templates import render
from . import paths
from .client import Client


def rules_of_runner() -> list[Object]:
    """All that `install` grants the runner's account."""
    return [rule for template in ("role-runner", "role-volumes") for rule in render(template)["rules"]]


def lacking(client: Client, namespace: str, needed: Sequence[Object]) -> tuple[Object, ...]:
    """The rules of `needed` that this client has not in the namespace; () when the server does not say. Raises Unreachable."""
    try:
        review = client.create(paths.rules_reviews(), {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
                                                       "spec": {"namespace": namespace}})
        # The list may be incomplete (a webhook authorizes too) and never names what an aggregated API decides: each doubt is asked by itself.
        seeming = rights.missing(needed, (review.get("status") or {}).get("resourceRules") or [])
        return tuple(rule for one in seeming for rule in _denied(client, namespace, one))
    except ApiError:
        return ()


def _denied(client: Client, namespace: str, rule: Object) -> tuple[Object, ...]:
    [group], [full] = rule["apiGroups"], rule["resources"]
    resource, _, sub = full.partition("/")
    verbs = []
    for verb in rule["verbs"]:
        asked = {"namespace": namespace, "group": group, "resource": resource, "subresource": sub, "verb": verb}
        answer = client.create(paths.access_reviews(), {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
                                                        "spec": {"resourceAttributes": asked}})
        if not answer["status"].get("allowed"):
            verbs.append(verb)
    return ({"apiGroups": [group], "resources": [full], "verbs": verbs},) if verbs else ()
