"""Label and node selectors, as the API server, its controllers and the scheduler evaluate them."""
from __future__ import annotations

from typing import Any

Object = dict[str, Any]


def selector_matches(selector: Object, pod_labels: dict[str, str]) -> bool:
    """A LabelSelector; an empty one matches everything. Source: apimachinery pkg/apis/meta/v1/helpers.go."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if pod_labels.get(key) != value:
            return False
    for rule in selector.get("matchExpressions") or []:
        value, values = pod_labels.get(rule["key"]), rule.get("values") or []
        holds = {"In": value in values, "NotIn": value not in values, "Exists": value is not None, "DoesNotExist": value is None}
        if holds[str(rule["operator"])] is False:
            return False
    return True


def node_matches(selector: Object, name: str, node_labels: dict[str, str]) -> bool:
    """A NodeSelector: one of its terms holds, an empty term never does. Source: component-helpers scheduling/corev1/nodeaffinity."""
    def holds(rule: Object, present: dict[str, str]) -> bool:
        value, values = present.get(rule["key"]), rule.get("values") or []
        if rule["operator"] in ("Gt", "Lt"):
            numbers = [one for one in (value, *values) if one is not None and one.lstrip("-").isdigit()]
            return len(numbers) == 2 and (int(numbers[0]) > int(numbers[1])) == (rule["operator"] == "Gt") and numbers[0] != numbers[1]
        return selector_matches({"matchExpressions": [rule]}, present)

    return any((term.get("matchExpressions") or term.get("matchFields"))
               and all(holds(rule, node_labels) for rule in term.get("matchExpressions") or [])
               and all(holds(rule, {"metadata.name": name}) for rule in term.get("matchFields") or [])
               for term in selector.get("nodeSelectorTerms") or [])


def topology_allows(terms: list[Object], node_labels: dict[str, str]) -> bool:
    """allowedTopologies of a StorageClass: one of its terms holds; without any it is allowed everywhere.

    Source: kubernetes.io/docs/concepts/storage/storage-classes.
    """
    return not terms or any(all(node_labels.get(rule["key"]) in (rule.get("values") or []) for rule in term.get("matchLabelExpressions") or [])
                            for term in terms)
