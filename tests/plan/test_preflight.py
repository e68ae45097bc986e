"""Everything that speaks against a migration is found before anything is touched, all of it at once, each with its object and the way out."""
from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import states
from states import State, budget, claim, claim_name, node, pod, running, statefulset

from kubectl_volresize.model import labels
from kubectl_volresize.model.cluster import Answer, Mover, Surroundings
from kubectl_volresize.model.objects import Node, View
from kubectl_volresize.model.record import Record
from kubectl_volresize.plan import preflight
from kubectl_volresize.plan.findings import ACKNOWLEDGEABLE, CODES, REFUSAL, WARNING, Finding, notes, refusals
from kubectl_volresize.plan.fit import TreeCounts
from kubectl_volresize.plan.pending import nothing_to_do, pending_ordinals
from kubectl_volresize.plan.preflight import findings, fit_findings
from kubectl_volresize.plan.steps import Refuse
from kubectl_volresize.plan.validate import next_to_validate

PLAN = Path(preflight.__file__).parent
ZEROTH = claim_name("data", 0)


def with_claim(**fields: object) -> State:
    """Replica 0 with another claim than the rest."""
    return running().with_claims(claim(ZEROTH, **{"pv": states.old_pv("data", 0), **fields}))  # type: ignore[arg-type]


def owner(kind: str, controller: bool) -> dict[str, object]:
    return {"kind": kind, "name": "db", "uid": "u", "controller": controller}


def quota(used: dict[str, str], hard: dict[str, str], **spec: object) -> State:
    return running().seeing(surroundings=Surroundings(quotas=(View({"metadata": {"name": "small"}, "spec": {"hard": hard, **spec},
                                                                    "status": {"hard": hard, "used": used}}),)))


def limit_range(**limits: dict[str, str]) -> State:
    return running().seeing(surroundings=Surroundings(limit_ranges=(View(
        {"metadata": {"name": "claims"}, "spec": {"limits": [{"type": "Container"}, {"type": "PersistentVolumeClaim", **limits}]}}),)))


def nodes(*more: Node) -> dict[str, Node]:
    return {one.name: one for one in (node(states.NODE), *more)}


def autoscaler(target: str, owners: tuple[dict[str, object], ...] = ()) -> State:
    return running().seeing(surroundings=Surroundings(autoscalers=(View(
        {"metadata": {"name": "web", "ownerReferences": list(owners)}, "spec": {"scaleTargetRef": {"kind": "StatefulSet", "name": target}}}),)))


def vertical(target: str, mode: str) -> State:
    return running().seeing(surroundings=Surroundings(vertical_autoscalers=(View(
        {"metadata": {"name": "web"}, "spec": {"targetRef": {"kind": "StatefulSet", "name": target}, "updatePolicy": {"updateMode": mode}}}),)))


IN_ZONE_A = {"zone": "a"}
ZONE_B = [{"matchLabelExpressions": [{"key": "zone", "values": ["b"]}]}]


def capacities(*segments: tuple[str, str], **more: str) -> State:
    """All replicas in zone a; what a driver publishes for it and for others."""
    published = tuple({"metadata": {"name": f"c-{index}"}, "storageClassName": "standard", "capacity": left, **more,
                       "nodeTopology": {"matchLabels": {"zone": zone.removeprefix("zone-")}}} for index, (zone, left) in enumerate(segments))
    return running().seeing(surroundings=Surroundings(capacities=published), nodes={states.NODE: node(states.NODE, labels=IN_ZONE_A)})


def as_user(**security: Any) -> State:
    """Copied by user 1000; `security`: the securityContext of the application's pods."""
    pods = {"spec": {"containers": [{"name": "app", "image": "app:1"}], "securityContext": security}}
    return replace(running().with_set(statefulset(template=pods)), request=states.request(mover={"image": "x", "runAsUser": 1000}))


def answered(message: str) -> State:
    return running().seeing(surroundings=Surroundings(answers=(Answer("mover", {}, status=403, message=message),)))


# One thing wrong, and nothing else: by the code of its finding, the object that it names.
PROVOKED: dict[str, tuple[State, str]] = {
    "set-missing": (running().with_set(None), "statefulset/web"),
    "other-migration": (running().seeing(others=(states.migration("web-2", phase="Syncing", created="2025-01-01T00:00:00Z"),)), "volumeresize/web-2"),
    "unfinished-migration": (running().seeing(others=(states.migration("web-2", phase="Failed", finalizers=(labels.FINALIZER,)),)),
                             "volumeresize/web-2"),
    "set-terminating": (running().with_set(statefulset(terminating=True)), "statefulset/web"),
    "set-rolling": (running().with_set(statefulset(status={"currentRevision": "web-old"})), "statefulset/web"),
    "no-replicas": (running().with_set(statefulset(replicas=0)), "statefulset/web"),
    "owned-set": (running().with_set(statefulset(owners=(owner("Database", True),))), "statefulset/web"),
    "volume-unknown": (replace(running(), request=states.request("dta")), "statefulset/web"),
    "helm-release": (running().with_set(statefulset(marks={"meta.helm.sh/release-name": "shop"})), "statefulset/web"),
    "argocd-application": (running().with_set(statefulset(marks={"argocd.argoproj.io/tracking-id": "shop:apps/StatefulSet:prod/web"})),
                           "statefulset/web"),
    "flux-object": (running().with_set(statefulset(marks={"kustomize.toolkit.fluxcd.io/name": "shop",
                                                          "kustomize.toolkit.fluxcd.io/namespace": "flux-system"})), "statefulset/web"),
    "autoscaler": (autoscaler("web"), "horizontalpodautoscaler/web"),
    "quota": (quota({"requests.storage": "3Gi"}, {"requests.storage": "3400Mi"}), "resourcequota/small"),
    "limit-range": (limit_range(min={"storage": "1Gi"}), "limitrange/claims"),
    "node-cordoned": (running().with_pod(1, pod(1, node="node-9")).seeing(nodes=nodes(node("node-9", cordoned=True))), "pod/web-1"),
    "claim-beyond-replicas": (running().with_claims(claim(claim_name("data", 7), pv="pv-7")), f"persistentvolumeclaim/{claim_name('data', 7)}"),
    "set-scaling": (running().with_set(statefulset(status={"replicas": 4})), "statefulset/web"),
    "vertical-autoscaler": (vertical("web", "Auto"), "verticalpodautoscaler/web"),
    "node-not-ready": (running().with_pod(1, pod(1, node="node-9")).seeing(nodes=nodes(node("node-9", ready=False))), "pod/web-1"),
    "class-topology": (running().seeing(classes={"standard": {"allowedTopologies": ZONE_B}}, nodes={states.NODE: node(states.NODE, labels=IN_ZONE_A)})
                       .with_pod(1, pod(1, node="node-8")).with_pod(0, pod(0, node="node-8")), "storageclass/standard"),
    "no-capacity": (capacities(("zone-a", "1Gi")), "storageclass/standard"),
    "old-definition": (running().seeing(surroundings=Surroundings(unknown_fields=("spec.acknowledge",))),
                       "customresourcedefinition/volumeresizes.storage.maurice.fr"),
    "runner-rights": (running().seeing(surroundings=Surroundings(lacking=({"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]},))),
                      "serviceaccount/volresize-runner"),
    "pod-security": (answered('pods "x" is forbidden: violates PodSecurity "restricted:latest": root'), "namespace/prod"),
    "admission": (answered('admission webhook "a.b" denied the request: no'), "namespace/prod"),
    "altered-by-admission": (running().seeing(surroundings=Surroundings(answers=(Answer("statefulset", {"spec": {"a": 1}}, {"spec": {"a": 2}}),))),
                             "statefulset/web"),
    "claim-missing": (running().without_claims(ZEROTH), f"persistentvolumeclaim/{ZEROTH}"),
    "claim-terminating": (with_claim(terminating=True), f"persistentvolumeclaim/{ZEROTH}"),
    "claim-not-bound": (with_claim(phase="Pending", pv=""), f"persistentvolumeclaim/{ZEROTH}"),
    "not-smaller": (with_claim(size="400Mi"), f"persistentvolumeclaim/{ZEROTH}"),
    "block-volume": (with_claim(volumeMode="Block"), f"persistentvolumeclaim/{ZEROTH}"),
    "shared-volume": (with_claim(modes=("ReadWriteMany",)), f"persistentvolumeclaim/{ZEROTH}"),
    "one-pod-volume": (with_claim(modes=("ReadWriteOncePod",)), f"persistentvolumeclaim/{ZEROTH}"),
    "claim-in-use": (running().seeing(guests={ZEROTH: ("backup-1",)}), f"persistentvolumeclaim/{ZEROTH}"),
    "foreign-finalizer": (running().with_set(statefulset(finalizers=("db.example/cleanup",))), "statefulset/web"),
    "volume-missing": (running().without_volumes(states.old_pv("data", 0)), f"persistentvolumeclaim/{ZEROTH}"),
    "pod-not-ready": (running().with_pod(1, pod(1, ready=False)), "pod/web-1"),
    "pod-old-revision": (running().with_pod(1, pod(1, revision="web-old")), "pod/web-1"),
    "many-budgets": (running().seeing(budgets=(budget("one", 1), budget("two", 1))), "statefulset/web"),
    "budget": (running().seeing(budgets=(budget("strict", 0),)), "poddisruptionbudget/strict"),
    "copied-as-user": (as_user(fsGroup=2000), "statefulset/web"),
    "no-fs-group": (as_user(runAsUser=1000, runAsGroup=3000), "statefulset/web"),
    "class-missing": (replace(running(), request=states.request(storage_class="slow")), "storageclass/slow"),
}
# These come later, from the data or from the measuring pods, and have tests of their own below.
LATER = {"does-not-fit", "not-measured", "templates-only", "unreachable-volume"}
# The plugin and the runner find these without a look at the set.
ELSEWHERE = {"namespace-missing", "not-installed", "bad-spec", "user-rights"}


def found(state: State) -> tuple[Finding, ...]:
    return findings(state.cluster, state.request)


def codes(state: State) -> list[str]:
    return [finding.code for finding in found(state)]


def _codes_in_the_source() -> set[str]:
    calls = [node for file in PLAN.glob("*.py") for node in ast.walk(ast.parse(file.read_text()))
             if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Finding"]
    assert all(isinstance(call.args[0], ast.Constant) for call in calls), "a finding's code is not written out"
    return {str(call.args[0].value) for call in calls if isinstance(call.args[0], ast.Constant)}


def test_every_finding_of_the_source_is_provoked_here() -> None:
    assert _codes_in_the_source() - ELSEWHERE == set(PROVOKED) | LATER == set(CODES) - ELSEWHERE


@pytest.mark.parametrize("security", [{"fsGroup": 0}, {"runAsGroup": 1000}, {"supplementalGroups": [5, 1000]}])
def test_pods_that_are_in_the_group_of_the_new_root_directory_can_write_to_it(security: dict[str, Any]) -> None:
    assert codes(as_user(**security)) == ["copied-as-user"]


def test_a_healthy_set_without_a_budget_has_nothing_against_it() -> None:
    assert found(running()) == ()


@pytest.mark.parametrize("code", PROVOKED)
def test_one_wrong_thing_is_one_finding_with_its_object_and_a_way_out(code: str) -> None:
    state, named = PROVOKED[code]
    [finding] = found(state)
    assert (finding.code, finding.object) == (code, named)
    assert finding.fix and finding.message
    assert str(finding) == f"{named}: {finding.message} ({finding.advice})"


@pytest.mark.parametrize("code", PROVOKED)
def test_what_stops_a_migration_is_what_its_severity_says(code: str) -> None:
    seen = found(PROVOKED[code][0])
    stops = {"as it is": bool(refusals(seen)), "accepted": bool(refusals(seen, [code])), "another accepted": bool(refusals(seen, ["other"]))}
    assert stops == {REFUSAL: {"as it is": True, "accepted": True, "another accepted": True},
                     ACKNOWLEDGEABLE: {"as it is": True, "accepted": False, "another accepted": True},
                     WARNING: {"as it is": False, "accepted": False, "another accepted": False}}[CODES[code].severity]
    # What does not stop it is said.
    assert bool(notes(seen)) == (not stops["as it is"]) and bool(notes(seen, [code])) == (not stops["accepted"])


def test_an_acknowledgeable_finding_says_how_to_accept_it() -> None:
    [finding] = found(PROVOKED["owned-set"][0])
    assert "--acknowledge owned-set" in str(finding)


@pytest.mark.parametrize(("mark", "finding", "source"), [
    ({"argocd.argoproj.io/instance": "shop"}, "argocd-application", "shop"), ({"helm.toolkit.fluxcd.io/name": "shop"}, "flux-object", "shop"),
    ({"kustomize.toolkit.fluxcd.io/name": "shop", "kustomize.toolkit.fluxcd.io/namespace": "flux"}, "flux-object", "flux/shop"),
    ({"meta.helm.sh/release-name": "shop"}, "helm-release", "shop")])
def test_a_manager_is_told_the_exact_value_to_change(mark: dict[str, str], finding: str, source: str) -> None:
    state = replace(running("logs", "data"), request=states.request("data", storage_class="standard"))
    [seen] = found(state.with_set(statefulset(volumes=("logs", "data"), marks=mark)))
    assert seen.code == finding and source in seen.message
    assert "spec.volumeClaimTemplates[1].spec.resources.requests.storage: 500Mi" in seen.fix
    assert "spec.volumeClaimTemplates[1].spec.storageClassName: standard" in seen.fix


def test_an_autoscaler_of_keda_is_paused_at_its_scaledobject_and_one_of_another_set_is_in_nobodys_way() -> None:
    [seen] = found(autoscaler("web", ({"kind": "ScaledObject", "name": "shop"},)))
    assert "scaledobject shop" in seen.fix
    assert found(autoscaler("db")) == ()


@pytest.mark.parametrize(("used", "hard", "expected"), [
    ({"requests.storage": "3Gi"}, {"requests.storage": "3572Mi"}, []),
    ({"requests.storage": "3Gi"}, {"requests.storage": "3571Mi"}, ["499Mi of requests.storage", "500Mi more"]),
    ({"persistentvolumeclaims": "3"}, {"persistentvolumeclaims": "3"}, ["0 of persistentvolumeclaims", "1 more"]),
    ({"persistentvolumeclaims": "3"}, {"persistentvolumeclaims": "4"}, []),
    ({"count/persistentvolumeclaims": "3"}, {"count/persistentvolumeclaims": "3"}, ["0 of count/persistentvolumeclaims"]),
    ({}, {"standard.storageclass.storage.k8s.io/requests.storage": "100Mi"}, ["100Mi of standard.storageclass"]),
    ({}, {"fast.storageclass.storage.k8s.io/requests.storage": "1"}, []),
    ({"pods": "3"}, {"pods": "5"}, ["2 of pods", "3 more"]), ({"pods": "3"}, {"pods": "6"}, []),
    ({"requests.cpu": "900m"}, {"requests.cpu": "1"}, []),
])
def test_a_quota_must_leave_room_at_the_peak(used: dict[str, str], hard: dict[str, str], expected: list[str]) -> None:
    seen = found(quota(used, hard))
    assert [finding.code for finding in seen] == (["quota"] if expected else [])
    assert all(words in seen[0].message for words in expected)


def test_a_quota_counts_what_the_mover_asks_for_and_one_with_a_scope_is_left_to_the_server() -> None:
    request = states.request(mover={"image": "i", "resources": {"requests": {"cpu": "200m"}}})
    tight = quota({"requests.cpu": "900m"}, {"requests.cpu": "1"})
    assert codes(replace(tight, request=request)) == ["quota"]
    assert codes(replace(quota({"requests.cpu": "900m"}, {"requests.cpu": "1"}, scopes=["BestEffort"]), request=request)) == []


def test_pods_that_count_already_are_not_asked_for_again() -> None:
    state = quota({"pods": "6"}, {"pods": "6"})
    assert codes(state) == ["quota"]
    counting = {(ordinal, "data"): Mover(states.copier_pod(f"measurer-{ordinal}", ordinal)) for ordinal in range(3)}
    assert codes(state.seeing(measurers=counting)) == []


def test_a_quota_counts_all_volumes_of_a_replica_together_and_not_what_is_done() -> None:
    state = quota({}, {"requests.storage": "999Mi"}).seeing(claims=running("data", "logs").cluster.claims)
    both = replace(state.with_set(statefulset(volumes=("data", "logs"))), request=states.request("data", "logs"))
    assert "quota" in codes(both)
    done = [claim(claim_name("logs", ordinal), pv=states.new_pv("logs", ordinal), size=states.NEW_SIZE) for ordinal in range(3)]
    assert "quota" not in codes(both.with_claims(*done))


@pytest.mark.parametrize(("limits", "expected"), [
    ({"min": {"storage": "500Mi"}}, 0), ({"min": {"storage": "501Mi"}}, 1), ({"max": {"storage": "500Mi"}}, 0), ({"max": {"storage": "499Mi"}}, 1),
    ({"min": {"storage": "1Gi"}, "max": {"storage": "1Mi"}}, 2)])
def test_a_limit_range_bounds_the_new_size_on_both_sides(limits: dict[str, dict[str, str]], expected: int) -> None:
    assert codes(limit_range(**limits)) == ["limit-range"] * expected


@pytest.mark.parametrize(("segments", "more", "said"), [
    ((), {}, ""), ((("zone-b", "1Mi"),), {}, ""), ((("zone-a", "1500Mi"),), {}, ""), ((("zone-a", "1499Mi"),), {}, "1.5Gi left"),
    ((("zone-a", "10Gi"),), {"maximumVolumeSize": "499Mi"}, "no room for a volume of 500Mi"), ((("zone-a", "10Gi"),), {}, ""),
    ((("zone-a", "800Mi"), ("zone-a", "800Mi")), {}, "")])
def test_what_a_driver_publishes_counts_for_all_replicas_of_its_place_together(segments: Any, more: dict[str, str], said: str) -> None:
    seen = found(capacities(*segments, **more))
    assert [finding.code for finding in seen] == (["no-capacity"] if said else [])
    assert said in "".join(finding.message for finding in seen)


def test_a_class_that_does_not_reach_the_node_says_what_pins_the_pod_there() -> None:
    named = {"spec": {"volumes": [{"name": "logs", "persistentVolumeClaim": {"claimName": claim_name("logs", 0)}}]}}
    state = running("data", "logs", replicas=1).seeing(classes={"standard": {"allowedTopologies": ZONE_B}})
    pinned = states.volume(states.old_pv("logs", 0))
    pinned.raw["spec"]["nodeAffinity"] = {"required": {"nodeSelectorTerms": []}}
    state = replace(state.with_volumes(pinned).with_pod(0, pod(0, **named)), request=states.request("data"))
    [finding] = found(state)
    assert finding.code == "class-topology" and claim_name("logs", 0) in finding.message
    assert found(state.seeing(classes={"standard": {"allowedTopologies": [{"matchLabelExpressions": []}]}})) == ()


@pytest.mark.parametrize(("mode", "target", "count"), [("Auto", "web", 1), ("Recreate", "web", 1), ("Off", "web", 0), ("Initial", "web", 0),
                                                       ("Auto", "db", 0)])
def test_a_vertical_autoscaler_counts_when_it_evicts_the_sets_pods(mode: str, target: str, count: int) -> None:
    assert codes(vertical(target, mode)) == ["vertical-autoscaler"] * count


def test_a_claim_beyond_the_replicas_that_has_the_new_size_is_nothing_to_speak_of() -> None:
    assert codes(running().with_claims(claim(claim_name("data", 7), pv="pv-7", size=states.NEW_SIZE))) == []


def test_two_wrong_things_are_two_findings() -> None:
    state = with_claim(size="400Mi").seeing(budgets=(budget("strict", 0),))
    assert codes(state) == ["not-smaller", "budget"]


def test_every_claim_is_looked_at_and_every_wrong_one_named() -> None:
    small = [claim(claim_name("logs", ordinal), pv=states.old_pv("logs", ordinal), size="100Mi") for ordinal in range(3)]
    assert [finding.object for finding in found(running("data", "logs").with_claims(*small))] == [
        f"persistentvolumeclaim/logs-web-{ordinal}" for ordinal in range(3)]


@pytest.mark.parametrize(("size", "expected"), [("499Mi", []), ("1.5Gi", ["not-smaller"] * 3), ("1Gi", []), ("1025Mi", ["not-smaller"] * 3)])
def test_a_size_is_refused_unless_it_is_smaller(size: str, expected: list[str]) -> None:
    # Exactly the present size is not refused: there is nothing to do.
    assert codes(replace(running(), request=states.request(size=size))) == expected


def test_the_capacity_counts_and_not_what_was_asked_for() -> None:
    assert codes(with_claim(size="600Mi", capacity="500Mi")) == ["not-smaller"]


@pytest.mark.parametrize(("budgets", "expected"), [
    ((), []), ((budget("generous", 1),), []), ((budget("generous", 2),), []), ((budget("strict", 0),), ["budget"]),
    ((budget("of others", 0, {"matchLabels": {"app": "db"}}),), []), ((budget("everybody's", 0, {}),), ["budget"])])
def test_a_budget_refuses_only_when_it_selects_the_pods_and_allows_none(budgets: tuple[object, ...], expected: list[str]) -> None:
    assert codes(running().seeing(budgets=budgets)) == expected


def test_an_unknown_volume_is_told_which_there_are() -> None:
    [finding] = found(replace(running("data", "logs"), request=states.request("dta")))
    assert "'dta'" in finding.message and "data, logs" in finding.message


def test_an_unknown_class_is_told_which_there_are() -> None:
    [finding] = found(replace(running(), request=states.request(storage_class="slow")))
    assert finding.fix == "one of: standard"


def test_what_the_user_may_not_read_is_left_to_the_job() -> None:
    blind = running().seeing(volumes={}, classes={}, unreadable=("persistentvolumes", "storageclasses"))
    assert found(replace(blind, request=states.request(storage_class="slow"))) == ()


def test_a_set_that_we_froze_ourselves_is_not_taken_for_deleted() -> None:
    assert "set-terminating" not in codes(running().with_set(states.frozen_set()))


def test_claims_that_are_done_already_are_not_looked_at_again() -> None:
    state = running().with_claims(claim(claim_name("data"), pv=states.new_pv("data"), size=states.NEW_SIZE, capacity="1Gi"))
    assert found(state.with_volumes(states.volume(states.new_pv("data")))) == ()
    assert pending_ordinals(state.cluster, state.request) == (1, 0)


def test_the_highest_ordinal_comes_first() -> None:
    assert pending_ordinals(running().cluster, states.request()) == (2, 1, 0)


def _all_done(templates: str) -> State:
    state = running().with_set(statefulset(size=templates))
    return state.with_claims(*(claim(claim_name("data", ordinal), pv="pv", size=states.NEW_SIZE) for ordinal in range(3)))


def test_nothing_is_to_do_only_when_claims_and_templates_are_as_asked() -> None:
    done, templates_left, fresh = _all_done(states.NEW_SIZE), _all_done(states.OLD_SIZE), running()
    assert nothing_to_do(done.cluster, done.request)
    assert not nothing_to_do(templates_left.cluster, templates_left.request)
    assert not nothing_to_do(fresh.cluster, fresh.request)
    assert not nothing_to_do(done.cluster, states.request(storage_class="slow"))
    assert not nothing_to_do(done.cluster, states.request("dta"))
    assert not nothing_to_do(done.with_set(None).cluster, done.request)


def test_data_that_does_not_fit_is_told_with_numbers_for_each_replica() -> None:
    full = TreeCounts(files=10, bytes=600 << 20, allocated=600 << 20, inodes=10)
    small = TreeCounts(files=10, bytes=1 << 20, allocated=1 << 20, inodes=10)
    told = fit_findings(states.request(), {(0, "data"): full, (1, "data"): small, (2, "data"): full})
    assert [(finding.code, finding.object) for finding in told] == [("does-not-fit", "persistentvolumeclaim/data-web-2"),
                                                                    ("does-not-fit", "persistentvolumeclaim/data-web-0")]
    assert "500Mi" in told[0].message and "too little" in told[0].message and "headRoomPercent" in told[0].fix


def test_head_room_can_be_what_does_not_fit() -> None:
    counts = {(0, "data"): TreeCounts(files=10, bytes=400 << 20, allocated=400 << 20, inodes=10)}
    assert not fit_findings(states.request(head_room=0), counts)
    assert fit_findings(states.request(head_room=50), counts)


def test_a_measurer_that_failed_refuses_in_its_own_words() -> None:
    state = running(replicas=1)
    measurer = Mover(states.copier_pod("measurer", 0, phase="Failed"), {"event": "failed", "message": "input/output error"})
    decision = next_to_validate(replace(state.cluster, measurers={(0, "data"): measurer}), Record(), state.request)
    assert isinstance(decision, Refuse)
    [finding] = decision.findings
    assert (finding.code, finding.object) == ("not-measured", "persistentvolumeclaim/data-web-0")
    assert "input/output error" in finding.message and finding.fix


def test_templates_alone_are_refused_with_the_way_to_change_them() -> None:
    state = _all_done(states.OLD_SIZE)
    decision = next_to_validate(state.cluster, Record(), state.request)
    assert isinstance(decision, Refuse)
    [finding] = decision.findings
    assert (finding.code, finding.object) == ("templates-only", "statefulset/web")
    assert "--cascade=orphan" in finding.fix
