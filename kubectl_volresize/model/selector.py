"""Label selectors, as the API server and its controllers evaluate them."""
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
