"""What may be let go without a runner: never so that the application could start on an empty claim, or on one old and one new volume."""
from __future__ import annotations

from dataclasses import replace

import pytest
from states import (MIGRATION_UID, NEW_SIZE, OLD_SIZE, REPLICA, SET, State, budget, claim, claim_name, emptied, exchanged, frozen, frozen_set,
                    migration, new_pv, old_pv, pod, running, shut_down, statefulset, swapping, uid_of, verified, volume)

from kubectl_volresize.model import labels
from kubectl_volresize.plan import leave, swap_steps, undo_steps
from kubectl_volresize.plan.release import Held, held
from kubectl_volresize.plan.steps import LetGo

POD, THE_SET, RECORD = "pod/web-2", "statefulset/web", "volumeresize/web"


def look(state: State) -> dict[str, Held]:
    """What is held, by object; the record bears its finalizer as in every migration that has begun."""
    seen = state.seeing(migration=migration(finalizers=(labels.FINALIZER,)))
    return {one.object: one for one in held(seen.cluster, seen.record, seen.request)}


def demand_blocked(one: Held, *reasons: str) -> None:
    assert one.step is None
    for reason in reasons:
        assert reason in " ".join(one.against)


def sizes(step: object) -> set[str]:
    assert isinstance(step, (swap_steps.Thaw, swap_steps.Recreate))
    return {template["spec"]["resources"]["requests"]["storage"] for template in step.successor["spec"]["volumeClaimTemplates"]}


# -- the pod


@pytest.mark.parametrize("state", [shut_down(), verified(), swapping(), shut_down("data", "logs")])
def test_a_held_pod_whose_original_claims_stand_is_let_go(state: State) -> None:
    one = look(state)[POD]
    assert isinstance(one.step, swap_steps.Release) and one.step.remaining == ()
    assert (one.step.uid, one.step.resource_version) == (uid_of("web-2"), "7")


def test_a_hold_on_a_pod_that_runs_is_taken_off() -> None:
    state = running().with_pod(1, pod(1, held=True))
    assert isinstance(look(state)["pod/web-1"].step, swap_steps.Release)


def test_the_finalizers_of_others_stay_on_the_pod() -> None:
    state = shut_down()
    raw = state.cluster.pods[REPLICA].raw
    both = {**raw, "metadata": {**raw["metadata"], "finalizers": ["example.com/theirs", labels.HOLD_FINALIZER]}}
    step = look(state.with_pod(REPLICA, type(state.cluster.pods[REPLICA])(both)))[POD].step
    assert isinstance(step, swap_steps.Release) and step.remaining == ("example.com/theirs",)


def test_a_pod_is_not_let_go_while_a_set_at_work_would_start_it_on_an_empty_claim() -> None:
    state = shut_down().without_claims(claim_name("data"))
    demand_blocked(look(state)[POD], f"claim data-web-2 is missing: create it on volume {old_pv('data')} first",
                   "kubectl delete statefulset web --cascade=orphan")


def test_nor_with_the_claim_of_a_volume_that_takes_no_part_missing() -> None:
    state = shut_down().with_set(statefulset(volumes=("data", "logs")))
    demand_blocked(look(state)[POD], "claim logs-web-2 is missing")


def test_nor_while_a_claim_is_being_deleted_since_it_goes_with_the_pod() -> None:
    state = shut_down()
    going = claim(claim_name("data"), pv=old_pv("data"), terminating=True)
    demand_blocked(look(state.with_claims(going))[POD], f"is being deleted: once it is gone, create it on volume {old_pv('data')}")


def test_nor_on_a_claim_that_is_not_bound() -> None:
    demand_blocked(look(shut_down().with_claims(claim(claim_name("data"), pv=old_pv("data"), phase="Lost")))[POD], "claim data-web-2 is not Bound")


def test_nor_on_a_volume_that_the_record_does_not_name() -> None:
    strange = claim(claim_name("data"), pv="pv-of-somebody", uid="new")
    state = shut_down().with_claims(strange).with_volumes(volume("pv-of-somebody", claim_name=strange.name, claim_uid="new"))
    demand_blocked(look(state)[POD], f"is Bound to volume pv-of-somebody, and the record names {old_pv('data')} and {new_pv('data')}")


def test_nor_on_another_volume_of_the_recorded_name() -> None:
    original = shut_down().cluster.claims[claim_name("data")]
    other = volume(old_pv("data"), uid="another", claim_name=original.name, claim_uid=original.uid)
    demand_blocked(look(shut_down().with_volumes(other))[POD], "is not the one that was recorded")


def test_a_replica_never_starts_on_one_old_and_one_new_volume() -> None:
    state = exchanged("data", "logs")
    old = claim(claim_name("logs"), pv=old_pv("logs"))
    state = state.with_claims(old).with_volumes(volume(old_pv("logs"), role="old", claim_name=old.name, claim_uid=old.uid))
    demand_blocked(look(state)[THE_SET],
                   "the claims of replica 2 do not belong together (data-web-2 on its new volume, logs-web-2 on its old volume)")


def test_who_may_not_read_volumes_goes_by_the_claims() -> None:
    state = shut_down().seeing(volumes={}, unreadable=("persistentvolumes",))
    assert isinstance(look(state)[POD].step, swap_steps.Release)


# -- the set


def test_a_freeze_on_a_set_that_nobody_deletes_is_taken_off() -> None:
    state = swapping().with_set(statefulset(finalizers=(labels.FREEZE_FINALIZER, "example.com/theirs")))
    step = look(state)[THE_SET].step
    assert isinstance(step, undo_steps.Unfreeze) and step.remaining == ("example.com/theirs",)


@pytest.mark.parametrize(("state", "size"), [(frozen(), OLD_SIZE), (frozen("data", "logs"), OLD_SIZE), (exchanged(), NEW_SIZE)])
def test_a_frozen_set_whose_claims_all_stand_is_created_again_with_the_sizes_that_its_claims_have(state: State, size: str) -> None:
    step = look(state)[THE_SET].step
    assert isinstance(step, swap_steps.Thaw)
    assert (step.uid, step.resource_version) == (uid_of("statefulset"), "7")
    assert sizes(step) == {size}
    assert labels.FREEZE_FINALIZER not in (step.successor["metadata"].get("finalizers") or ())
    assert step.successor["metadata"]["annotations"][labels.MIGRATION_UID] == MIGRATION_UID


def test_it_stays_frozen_while_a_claim_is_missing() -> None:
    found = look(emptied())
    demand_blocked(found[THE_SET], "claim data-web-2 is missing")
    demand_blocked(found[RECORD])


def test_also_that_of_a_replica_that_is_not_at_work() -> None:
    demand_blocked(look(exchanged().without_claims(claim_name("data", 0)))[THE_SET], "claim data-web-0 is missing")


def test_it_stays_frozen_while_the_garbage_collector_works_on_it() -> None:
    orphaning = frozen_set(finalizers=(labels.ORPHAN_FINALIZER, labels.FREEZE_FINALIZER))
    demand_blocked(look(exchanged().with_set(orphaning))[THE_SET], "run this again in a minute")


def test_it_stays_frozen_while_somebody_else_holds_it_too() -> None:
    theirs = frozen_set(finalizers=("example.com/theirs", labels.FREEZE_FINALIZER))
    demand_blocked(look(exchanged().with_set(theirs))[THE_SET], "has the finalizer example.com/theirs of somebody else")


def test_nothing_may_name_the_set_as_its_owner_when_it_goes() -> None:
    owner = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": SET, "uid": uid_of("statefulset")}
    raw = pod(0).raw
    owned = type(pod(0))({**raw, "metadata": {**raw["metadata"], "ownerReferences": [owner]}})
    step = look(exchanged().with_pod(0, owned))[THE_SET].step
    assert isinstance(step, swap_steps.StripReference) and (step.kind, step.name) == ("Pod", "web-0")


def test_a_set_that_we_took_away_is_created_again_from_the_record() -> None:
    step = look(exchanged().with_set(None))[THE_SET].step
    assert isinstance(step, swap_steps.Recreate) and sizes(step) == {NEW_SIZE}


def test_one_that_its_owner_deleted_is_not() -> None:
    assert THE_SET not in look(verified().with_set(None))
    ended_well = replace(exchanged(), record=replace(exchanged().record, current_replica=None)).recording_replica(step="done").with_set(None)
    assert THE_SET not in look(ended_well)


def test_not_before_every_claim_is_there() -> None:
    demand_blocked(look(emptied().with_set(None))[THE_SET], f"claim data-web-2 is missing: create it on volume {old_pv('data')} first")


def test_a_migration_that_needs_a_human_is_judged_by_the_replica_that_it_left() -> None:
    state = exchanged().with_set(None)
    over = replace(state, record=replace(state.record, phase=labels.FAILED, current_replica=None))
    assert isinstance(look(over)[THE_SET].step, swap_steps.Recreate)


# -- the record


def test_the_record_goes_last() -> None:
    objects = [one.object for one in held(*_parts(frozen()))]
    assert objects == [POD, THE_SET, RECORD]


def _parts(state: State) -> tuple:  # type: ignore[type-arg]
    seen = state.seeing(migration=migration(finalizers=(labels.FINALIZER,)))
    return seen.cluster, seen.record, seen.request


def test_a_record_that_holds_nothing_is_let_go() -> None:
    found = look(running())
    assert set(found) == {RECORD} and isinstance(found[RECORD].step, LetGo)


def test_nothing_is_found_where_nothing_is_held() -> None:
    state = running().seeing(budgets=(budget("strict", 0),))
    assert held(state.cluster, state.record, state.request) == ()


def test_in_a_namespace_that_goes_everything_is_let_go() -> None:
    found = look(emptied().with_pod(REPLICA, shut_down().cluster.pods[REPLICA]).seeing(namespace_going=True))
    assert isinstance(found[POD].step, leave.LeavePod)
    assert isinstance(found[THE_SET].step, undo_steps.Unfreeze)
    assert isinstance(found[RECORD].step, LetGo)
    assert THE_SET not in look(emptied().with_set(None).seeing(namespace_going=True))


def test_on_the_way_back_the_templates_are_left_as_they_are() -> None:
    state = exchanged()
    turned = replace(state, record=replace(state.record, rollback={"replicas": [2]}))
    assert sizes(look(turned)[THE_SET].step) == {OLD_SIZE}


def test_a_claim_that_a_human_made_again_on_the_old_volume_counts_as_the_old_one() -> None:
    by_hand = claim(claim_name("data"), pv=old_pv("data"), uid="by-hand")
    state = emptied().with_claims(by_hand).with_volumes(volume(old_pv("data"), role="old", claim_name=by_hand.name, claim_uid="by-hand"))
    step = look(state)[THE_SET].step
    assert isinstance(step, swap_steps.Thaw) and sizes(step) == {OLD_SIZE}
