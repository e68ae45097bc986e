"""What a decision may believe of a pod, a claim, a set: above all that nothing of a stopped application can write any more."""
from __future__ import annotations

import copy
from typing import Any

import pytest
import states
from states import ENDED, NEVER_STARTED, RUNNING, claim, container, pod, statefulset, stopped_pod, volume

from kubectl_volresize.model import labels
from kubectl_volresize.model.cluster import Mover
from kubectl_volresize.model.objects import Budget, Claim, Object, Pod, StatefulSet
from kubectl_volresize.model.selector import selector_matches

CRASHED: Object = {"waiting": {"reason": "CrashLoopBackOff"}}
# What is different from a pod that ended by itself under our hold, on a node whose kubelet answers; and whether that is still shut down.
SHUT_DOWN: dict[str, tuple[dict[str, Any], bool, bool]] = {
    "ended well": ({}, True, True),
    "ended badly": ({"phase": "Failed"}, True, True),
    "several containers, all ended": ({"states": (ENDED, ENDED)}, True, True),
    "init containers ended too": ({"status": {"initContainerStatuses": [container(ENDED)]}}, True, True),
    "never got so far as to start": ({"phase": "Failed", "states": (NEVER_STARTED,)}, True, True),
    "its init container ended, its others were never started": (
        {"phase": "Failed", "states": (NEVER_STARTED,), "status": {"initContainerStatuses": [container(ENDED)]}}, True, True),
    "no container was ever reported": ({"phase": "Failed", "states": ()}, True, True),
    "nobody deleted it": ({"terminating": False}, True, False),
    "within its grace period": ({"grace": 30}, True, False),
    "force delete: grace 0 while it runs": ({"phase": "Running", "states": (RUNNING,)}, True, False),
    "force delete: the phase alone says that it runs": ({"phase": "Running"}, True, False),
    "podGC: Failed while a container runs": ({"phase": "Failed", "states": (RUNNING,)}, True, False),
    "one of two containers runs": ({"states": (ENDED, RUNNING)}, True, False),
    "an init container runs (a sidecar)": ({"status": {"initContainerStatuses": [container(RUNNING)]}}, True, False),
    "an ephemeral container runs": ({"status": {"ephemeralContainerStatuses": [container(RUNNING)]}}, True, False),
    "between two starts": ({"phase": "Failed", "states": (CRASHED,), "status": {"containerStatuses": [{**container(ENDED), "state": CRASHED}]}},
                           True, False),
    "a container of unknown state": ({"states": ({},)}, True, False),
    "the phase is unknown": ({"phase": "Unknown"}, True, False),
    "its node is dead": ({}, False, False),
}


@pytest.mark.parametrize("what", SHUT_DOWN)
def test_shut_down_means_that_nothing_can_write_any_more(what: str) -> None:
    changes, node_ready, expected = SHUT_DOWN[what]
    assert stopped_pod(2, **changes).shut_down(node_ready) is expected


def test_a_pod_is_not_shut_down_while_its_node_is_silent() -> None:
    state = states.shut_down()
    assert state.cluster.shut_down(state.cluster.pods[2])
    assert not state.seeing(nodes={}).cluster.shut_down(state.cluster.pods[2])


def test_a_pod_without_a_node_needs_none_to_be_shut_down() -> None:
    cluster = states.shut_down().seeing(nodes={}).cluster
    assert cluster.shut_down(stopped_pod(2, phase="Failed", states=(), node=""))


@pytest.mark.parametrize(("found", "ready"), [(pod(0), True), (pod(0, ready=False), False), (pod(0, terminating=True), False),
                                              (Pod({"metadata": {}}), False)])
def test_a_pod_that_is_going_is_not_ready_whatever_its_condition_says(found: Pod, ready: bool) -> None:
    assert found.ready is ready


ROLLING: dict[str, tuple[StatefulSet, str]] = {
    "at rest": (statefulset(), ""),
    "a partition that holds nobody back": (statefulset(updateStrategy={"rollingUpdate": {"partition": 0}}), ""),
    "a partition at the first ordinal": (statefulset(ordinals={"start": 5}, updateStrategy={"rollingUpdate": {"partition": 5}}), ""),
    "unseen change": (statefulset(status={"observedGeneration": 0}), "has not seen the last change"),
    "no status yet": (statefulset(status={"observedGeneration": None}), "has not seen the last change"),
    "two revisions": (statefulset(status={"updateRevision": "web-new"}), "a rollout is in progress"),
    "a partition at work": (statefulset(updateStrategy={"rollingUpdate": {"partition": 1}}), "partition is 1"),
}


@pytest.mark.parametrize("what", ROLLING)
def test_a_set_whose_revision_moves_says_why(what: str) -> None:
    found, why = ROLLING[what]
    assert (why in found.rolling) if why else found.rolling == ""


@pytest.mark.parametrize(("spec", "ordinals"), [({}, (0, 1, 2)), ({"replicas": 0}, ()), ({"replicas": None}, (0,)), ({"replicas": 1}, (0,)),
                                                ({"ordinals": {"start": 5}}, (5, 6, 7)), ({"ordinals": None}, (0, 1, 2))])
def test_ordinals_begin_where_the_set_says(spec: Object, ordinals: tuple[int, ...]) -> None:
    assert statefulset(**{"replicas": 3, **spec}).ordinals == ordinals


def test_only_our_finalizer_alone_makes_a_set_inert() -> None:
    assert states.frozen_set().inert
    assert not statefulset(finalizers=(labels.FREEZE_FINALIZER,)).inert
    assert not statefulset(terminating=True, finalizers=(labels.FREEZE_FINALIZER, labels.ORPHAN_FINALIZER)).inert
    assert not statefulset(terminating=True, finalizers=("other/one",)).inert
    assert not statefulset(terminating=True).inert


def test_a_recreated_set_is_ours_only_with_the_mark_of_this_very_migration_and_replica() -> None:
    raw = copy.deepcopy(statefulset().raw)
    raw["metadata"]["annotations"] = {labels.MIGRATION_UID: "u1", labels.REPLICA_MARK: "2"}
    assert StatefulSet(raw).marked_by("u1", 2)
    assert not StatefulSet(raw).marked_by("u2", 2)
    assert not StatefulSet(raw).marked_by("u1", 1)
    assert not statefulset().marked_by("", 2)
    raw["metadata"]["annotations"][labels.MIGRATION_UID] = ""
    assert not StatefulSet(raw).marked_by("", 2)


def test_the_retention_policy_has_the_defaults_of_kubernetes() -> None:
    assert statefulset().retention == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    policy = statefulset(persistentVolumeClaimRetentionPolicy={"whenScaled": "Delete"}).retention
    assert policy == {"whenDeleted": "Retain", "whenScaled": "Delete"}


SELECTORS: list[tuple[Object, bool]] = [
    ({}, True), ({"matchLabels": {"app": "web"}}, True), ({"matchLabels": {"app": "db"}}, False),
    ({"matchLabels": {"app": "web", "tier": "x"}}, False),
    ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["db", "web"]}]}, True),
    ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["db"]}]}, False),
    ({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["x"]}]}, False),
    ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, False),
    ({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["x"]}]}, True),
    ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True), ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, False),
    ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
    ({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}, True),
    ({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "Exists"}]}, False),
]


@pytest.mark.parametrize(("selector", "matches"), SELECTORS)
def test_a_selector_selects_what_kubernetes_would(selector: Object, matches: bool) -> None:
    assert selector_matches(selector, {"app": "web"}) is matches


def test_a_budget_without_a_selector_selects_nothing_and_with_an_empty_one_everything() -> None:
    assert not Budget({"metadata": {"name": "none"}, "spec": {}}).selects({"app": "web"})
    assert states.budget("all", 1, selector={}).selects({"app": "web"})


def test_a_volume_with_a_uid_in_its_reference_is_bound_and_not_reserved() -> None:
    assert volume("pv", claim_name="data-web-2").reserved_for("prod", "data-web-2")
    assert not volume("pv", claim_name="data-web-2", claim_uid="u").reserved_for("prod", "data-web-2")
    assert not volume("pv", claim_name="data-web-1").reserved_for("prod", "data-web-2")
    assert not volume("pv", claim_name="data-web-2").reserved_for("test", "data-web-2")
    assert not volume("pv").reserved_for("prod", "data-web-2")


def test_a_claims_capacity_is_what_it_has_and_else_what_it_asks_for() -> None:
    assert claim("data-web-0", size="1Gi", capacity="2Gi").capacity == 2 << 30
    assert Claim({"metadata": {"name": "c"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}}}).capacity == 1 << 30


def test_claims_of_a_pod_are_named_by_its_volumes() -> None:
    mounts = [{"name": "data", "persistentVolumeClaim": {"claimName": "data-web-0"}}, {"name": "tmp", "emptyDir": {}}]
    assert pod(0, spec={"volumes": mounts}).claims == {"data": "data-web-0"}


@pytest.mark.parametrize(("message", "words"), [('{"event": "verified"}', {"event": "verified"}), ('{"event": "veri', {}), ("Killed", {}), ("", {})])
def test_last_words_that_were_cut_off_are_no_words(message: str, words: Object) -> None:
    said = pod(0, states=({"terminated": {"exitCode": 22, "message": message}},))
    assert said.last_words == words and said.exit_code == 22


def test_a_mover_has_ended_when_it_says_so_before_the_kubelet_does() -> None:
    assert Mover(pod(0), {"event": "verified"}).ended
    assert Mover(pod(0, phase="Failed")).ended
    assert not Mover(pod(0), {"event": "waiting"}).ended


def test_what_keeps_a_pod_from_running_is_told_in_the_words_of_the_scheduler_or_the_kubelet() -> None:
    pending = {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes"}]}
    assert pod(0, status=pending).why_not_running == "Unschedulable: 0/2 nodes"
    assert pod(0, states=({"waiting": {"reason": "ImagePullBackOff"}},)).why_not_running == "ImagePullBackOff"
    assert pod(0).why_not_running == ""


def test_a_set_that_is_updated_by_deletion_is_never_in_a_rollout() -> None:
    """Its currentRevision stays behind for ever; what each pod runs is its own business."""
    apart = {"currentRevision": "web-old"}
    assert "differ" in states.statefulset(status=apart).rolling
    assert states.statefulset(status=apart, updateStrategy={"type": "OnDelete"}).rolling == ""
    assert "not seen" in states.statefulset(status={"observedGeneration": 0}, updateStrategy={"type": "OnDelete"}).rolling
