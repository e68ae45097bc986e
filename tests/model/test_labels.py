"""Keys that the API server accepts and that nobody else uses: in our domain, in the syntax of label keys and finalizers."""
from __future__ import annotations

import re

import pytest

from kubectl_volresize.model import labels

# apimachinery pkg/util/validation: IsQualifiedName.
NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
DOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+")
CONSTANTS = {name: value for name, value in vars(labels).items() if name.isupper() and isinstance(value, str)}
KEYS = {name: value for name, value in CONSTANTS.items() if "/" in value and name != "API_VERSION" and "IMAGE" not in name}


@pytest.mark.parametrize("name", KEYS)
def test_a_key_is_a_qualified_name_in_our_domain(name: str) -> None:
    domain, _, rest = KEYS[name].partition("/")
    assert DOMAIN.fullmatch(domain) and len(domain) <= 253
    assert NAME.fullmatch(rest)
    # The one key that Kubernetes recommends for everybody, and those that Kueue reads.
    assert domain == {"MANAGED_BY": "app.kubernetes.io", "QUEUE": "kueue.x-k8s.io", "QUEUE_PRIORITY": "kueue.x-k8s.io"}.get(name, labels.GROUP)


def test_the_keys_are_found_at_all() -> None:
    assert {"MIGRATION", "REPLICA", "VOLUME", "ROLE", "MIGRATION_UID", "FINALIZER", "HOLD_FINALIZER", "FREEZE_FINALIZER", "REQUESTED", "FINAL",
            "NUDGE", "ORIGINAL_RECLAIM", "FULL_NAME"} <= set(KEYS)


def test_no_two_meanings_share_a_key() -> None:
    # The mark on what we POST is the same word as the label, on another map.
    shared = sorted(KEYS[name] for name in KEYS if name != "REPLICA_MARK")
    assert shared == sorted(set(shared))


def test_every_constant_says_something() -> None:
    assert all(CONSTANTS.values())


def test_phases_are_the_documented_ones_and_none_is_empty() -> None:
    assert labels.PHASES == ("Pending", "Validating", "Syncing", "Replacing", "Completed", "Failed", "Cancelled", "RolledBack")
    assert labels.TERMINAL < set(labels.PHASES)


@pytest.mark.parametrize("value", [labels.ROLE_OLD, labels.ROLE_NEW, labels.ROLE_MOVER, labels.ROLE_MEASURE, labels.ROLE_RUNNER, labels.MANAGER])
def test_label_values_are_valid(value: str) -> None:
    assert NAME.fullmatch(value)


def test_roles_differ() -> None:
    assert len({labels.ROLE_OLD, labels.ROLE_NEW, labels.ROLE_MOVER, labels.ROLE_MEASURE, labels.ROLE_RUNNER}) == 5
