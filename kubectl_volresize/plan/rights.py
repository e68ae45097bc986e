"""What RBAC must allow: the rules that the user and the runner need, and which of them are not granted."""
from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..model import labels
from ..model.objects import Object
from .findings import Finding

# What somebody needs who submits, beyond the kind itself all of it is in the built-in role `edit`.
USER_RULES: tuple[Object, ...] = (
    {"apiGroups": ["apps"], "resources": ["statefulsets"], "verbs": ["get", "list"]},
    {"apiGroups": ["apps"], "resources": ["controllerrevisions"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["pods", "persistentvolumeclaims"], "verbs": ["list"]},
    {"apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": ["list"]},
    {"apiGroups": [labels.GROUP], "resources": [labels.PLURAL], "verbs": ["list", "create", "patch"]},
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["list", "create"]},
)


def missing(needed: Sequence[Object], granted: Sequence[Object]) -> tuple[Object, ...]:
    """The part of `needed` that `granted` does not contain, as rules. Rules for single names grant nothing here: which objects there will be is not
    known before. Source: kubernetes.io/docs/reference/access-authn-authz/rbac (`*`, subresources)."""
    found = []
    for rule in needed:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                if verbs := [verb for verb in rule["verbs"] if not any(_grants(one, group, resource, verb) for one in granted)]:
                    found.append({"apiGroups": [group], "resources": [resource], "verbs": verbs})
    return tuple(found)


def _grants(rule: Object, group: str, resource: str, verb: str) -> bool:
    if rule.get("resourceNames"):
        return False
    wanted = (("apiGroups", {group}), ("resources", {resource, f"*/{resource.partition('/')[2]}"} if "/" in resource else {resource}),
              ("verbs", {verb}))
    return all({"*", *accepted} & set(rule.get(key) or []) for key, accepted in wanted)


def of_runner(lacking: Sequence[Object], namespace: str) -> Iterator[Finding]:
    """The runner's account may do too little."""
    if lacking:
        yield Finding("runner-rights", f"serviceaccount/{labels.RUNNER_ACCOUNT}", f"may not {in_words(lacking)}",
                      f"an admin of the cluster runs once: kubectl volresize install -n {namespace}; or adds to its roles: {as_text(lacking)}")


def of_user(lacking: Sequence[Object], namespace: str) -> Iterator[Finding]:
    """Whoever submits may do too little."""
    if lacking:
        yield Finding("user-rights", f"namespace/{namespace}", f"is one where you may not {in_words(lacking)}",
                      f"an admin binds the role `edit` to you there, or adds to a Role of yours: {as_text(lacking)}")


def as_text(rules: Sequence[Object]) -> str:
    """As it can be pasted into a Role."""
    return ", ".join("{" + ", ".join(f"{key}: [{', '.join(_quoted(one) for one in rule[key])}]" for key in ("apiGroups", "resources", "verbs")) + "}"
                     for rule in rules)


def _quoted(word: str) -> str:
    return word or '""'


def in_words(rules: Sequence[Object]) -> str:
    """Verbs and resources."""
    return "; ".join(f"{', '.join(rule['verbs'])} " + ", ".join(f"{one}.{rule['apiGroups'][0]}".rstrip(".") for one in rule["resources"])
                     for rule in rules)
