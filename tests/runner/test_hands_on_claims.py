"""Somebody deletes claims and volumes, also by force. What is being deleted and cannot be kept is found out before anything depends on it; what the
exchange would have deleted anyway is no harm; and who has thrown away data that was nowhere else is told so, with names."""
from __future__ import annotations

import pytest
from builders import NAMESPACE, SET
from fake_api import FakeApi
from hands import (Moment, begun, by_force, change, claim_name, claimed, claimless, copied, copying, delete_volume, disturbed, done, entry, find,
                   frozen, go_on, is_frozen, is_held, pod_name, remove, starting, stopped, swapping, verified)
from running import answer, ask, demand_migrated, demand_nothing_left, demand_nothing_lost, sizes, status

from kubectl_volresize.errors import JOB_DONE, JOB_NEEDS_HUMAN, JOB_REFUSED

CLAIMS = "persistentvolumeclaims"


def temporary(ordinal: int) -> str:
    return f"{claim_name(ordinal)}-new"


def on_disk(api: FakeApi, volume: str, ordinal: int) -> bool:
    """Whether everything that the replica ever wrote is there, and kept."""
    found = find(api, "persistentvolumes", volume)
    kept = found is not None and found["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    return kept and set(api.disks[volume]) >= set(api.written[(NAMESPACE, claim_name(ordinal))])


# -- the claim of the application


@pytest.mark.row("claim-deleted")
@pytest.mark.parametrize("moment", [copied, stopped, verified, swapping, frozen])
def test_a_claim_that_is_deleted_while_its_pod_is_there_is_what_the_exchange_replaces_anyway(moment: Moment) -> None:
    end = disturbed(moment, remove(CLAIMS, claim_name), replicas=2)
    assert end.code == JOB_DONE
    demand_migrated(end.api, {"data": "500Mi"})


@pytest.mark.row("claim-deleted-before")
def test_a_claim_that_is_deleted_before_its_mover_has_started_ends_the_attempt() -> None:
    end = disturbed(copying, remove(CLAIMS, claim_name))
    assert (end.code, end.end) == (JOB_REFUSED, "Resumable") and f'"{claim_name(0)}" is being deleted' in end.message
    demand_nothing_lost(end.api)
    demand_nothing_left(end.api)
    assert on_disk(end.api, entry(end.api, 0)["oldPVName"], 0)


@pytest.mark.row("claim-deleted-before")
def test_a_claim_that_is_deleted_before_its_turn_is_left_alone_and_its_volume_kept() -> None:
    end = disturbed(begun, remove(CLAIMS, claim_name), replicas=2)
    assert (end.code, end.end) == (JOB_REFUSED, "Resumable") and f"claim {claim_name(1)} is being deleted by somebody" in end.message
    found = find(end.api, CLAIMS, claim_name(1))
    assert found is not None and found["spec"]["volumeName"] in end.message
    assert on_disk(end.api, found["spec"]["volumeName"], 1)


@pytest.mark.row("claim-and-pod-deleted")
def test_a_claim_that_is_deleted_with_its_pod_is_made_again_empty_and_a_human_is_told_where_the_data_is() -> None:
    def start_afresh(api: FakeApi, ordinal: int) -> None:
        """What is done to a replica that shall fetch its data from the others again."""
        remove(CLAIMS, claim_name)(api, ordinal)
        remove("pods", pod_name)(api, ordinal)

    end = disturbed(copying, start_afresh, replicas=2)
    assert (end.code, end.end) == (JOB_NEEDS_HUMAN, "NeedsHuman")
    old = entry(end.api, 1)["oldPVName"]
    assert claim_name(1) in end.message and old in end.message
    assert {claim.name for claim in end.api.empty_claims} == {claim_name(1)}
    before = {token for token in end.api.disks[old]}
    assert before and find(end.api, "persistentvolumes", old)["spec"]["persistentVolumeReclaimPolicy"] == "Retain"  # type: ignore[index]
    ask(end.api, "cancel")
    assert go_on(end.api, 2) == JOB_DONE
    demand_nothing_left(end.api)
    assert set(end.api.disks[old]) == before


@pytest.mark.row("claim-forced")
@pytest.mark.parametrize("moment", [copying, stopped, swapping])
def test_a_claim_that_is_deleted_by_force_before_the_freeze_leaves_the_pod_held_and_the_data_on_its_volume(moment: Moment) -> None:
    end = disturbed(moment, by_force(CLAIMS, claim_name))
    old = entry(end.api, 0)["oldPVName"]
    assert (end.code, end.end) == (JOB_NEEDS_HUMAN, "NeedsHuman") and claim_name(0) in end.message and old in end.message
    assert on_disk(end.api, old, 0) and end.api.empty_claims == []
    assert is_held(end.api, 0) == (moment is not copying)


@pytest.mark.row("claim-forced-frozen")
def test_a_claim_that_is_deleted_by_force_while_the_set_is_frozen_is_replaced() -> None:
    end = disturbed(frozen, by_force(CLAIMS, claim_name))
    assert end.code == JOB_DONE
    demand_migrated(end.api, {"data": "500Mi"})


@pytest.mark.row("new-claim-deleted")
def test_a_new_claim_that_is_deleted_before_the_thaw_is_made_again() -> None:
    end = disturbed(claimed, by_force(CLAIMS, claim_name))
    assert end.code == JOB_DONE
    demand_migrated(end.api, {"data": "500Mi"})


@pytest.mark.row("new-claim-deleted")
def test_a_new_claim_that_is_deleted_when_its_pod_has_started_needs_a_human_and_both_volumes_are_kept() -> None:
    end = disturbed(starting, remove(CLAIMS, claim_name))
    assert (end.code, end.end) == (JOB_NEEDS_HUMAN, "NeedsHuman") and claim_name(0) in end.message and entry(end.api, 0)["newPVName"] in end.message
    assert on_disk(end.api, entry(end.api, 0)["newPVName"], 0)
    assert find(end.api, "statefulsets", SET)["status"]["readyReplicas"] == 1  # type: ignore[index]


@pytest.mark.row("claim-created")
def test_a_claim_of_a_strangers_making_in_the_gap_is_taken_away_and_gone_on_from() -> None:
    def create(api: FakeApi, ordinal: int) -> None:
        api.rest.post(CLAIMS, {"metadata": {"name": claim_name(ordinal), "namespace": NAMESPACE}, "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "standard", "resources": {"requests": {"storage": "1Gi"}}}})

    end = disturbed(claimless, create)
    assert (end.code, end.end) == (JOB_NEEDS_HUMAN, "NeedsHuman") and is_frozen(end.api)
    for volume in (entry(end.api, 0)["oldPVName"], entry(end.api, 0)["newPVName"]):
        assert volume in end.message and on_disk(end.api, volume, 0)
    remove(CLAIMS, claim_name)(end.api, 0)
    end.api.settle()
    ask(end.api, "resume")
    assert go_on(end.api, 2) == JOB_DONE
    demand_migrated(end.api, {"data": "500Mi"})


# -- the temporary claim


@pytest.mark.row("temporary-claim-deleted")
def test_a_temporary_claim_that_is_deleted_before_its_mover_runs_ends_the_attempt() -> None:
    end = disturbed(copying, by_force(CLAIMS, temporary))
    assert (end.code, end.end) == (JOB_REFUSED, "Resumable") and f"temporary claim {temporary(0)} is gone" in end.message
    demand_nothing_lost(end.api)
    demand_nothing_left(end.api)


@pytest.mark.row("temporary-claim-deleted")
@pytest.mark.parametrize("moment", [stopped, verified, swapping])
def test_a_temporary_claim_that_is_deleted_while_its_mover_runs_goes_when_it_would_have_gone(moment: Moment) -> None:
    end = disturbed(moment, remove(CLAIMS, temporary))
    assert end.code == JOB_DONE
    demand_migrated(end.api, {"data": "500Mi"})


# -- the volumes


@pytest.mark.row("old-volume-deleted")
@pytest.mark.parametrize("moment", [copying, stopped, verified, swapping])
def test_an_old_volume_that_is_deleted_before_the_freeze_keeps_its_claim(moment: Moment) -> None:
    end = disturbed(moment, delete_volume("oldPVName"))
    assert (end.code, end.end) == (JOB_REFUSED, "Resumable") and "is being deleted by somebody" in end.message
    demand_nothing_lost(end.api)
    demand_nothing_left(end.api)
    assert sizes(end.api) == {claim_name(0): "1Gi"} and not status(end.api).get("currentReplica")


@pytest.mark.row("old-volume-gone")
@pytest.mark.parametrize("moment", [claimed, starting, done])
def test_an_old_volume_that_is_deleted_after_the_exchange_is_not_said_to_be_kept(moment: Moment) -> None:
    end = disturbed(moment, delete_volume("oldPVName"), replicas=2)
    old = entry(end.api, 1)["oldPVName"]
    assert (end.code, end.end) == (JOB_DONE, "Completed") and f"old volume {old} was deleted by somebody" in end.message
    assert old not in end.message.partition(";")[2].partition(";")[0]
    demand_nothing_lost(end.api)
    demand_nothing_left(end.api)
    ask(end.api, "rollback", discardNewerData=True)
    go_on(end.api, 2)
    outcome, said = answer(end.api)
    assert outcome == "refused" and f"the old volume {old} of replica 1 is gone" in said


@pytest.mark.row("old-volume-deleted-frozen")
def test_an_old_volume_that_is_deleted_while_the_set_is_frozen_does_not_keep_it_frozen() -> None:
    end = disturbed(frozen, delete_volume("oldPVName"))
    assert end.code == JOB_DONE
    demand_nothing_lost(end.api)
    demand_nothing_left(end.api)
    assert sizes(end.api) == {claim_name(0): "500Mi"}


@pytest.mark.row("new-volume-deleted")
@pytest.mark.parametrize("moment", [stopped, verified, swapping])
def test_a_new_volume_that_is_deleted_before_the_freeze_puts_the_replica_back(moment: Moment) -> None:
    end = disturbed(moment, delete_volume("newPVName"))
    assert (end.code, end.end) == (JOB_REFUSED, "Resumable")
    demand_nothing_lost(end.api)
    demand_nothing_left(end.api)
    assert sizes(end.api) == {claim_name(0): "1Gi"}
    ask(end.api, "resume")
    assert go_on(end.api, 2) == JOB_DONE
    demand_migrated(end.api, {"data": "500Mi"})


@pytest.mark.row("new-volume-deleted-frozen")
def test_a_new_volume_that_is_deleted_while_the_set_is_frozen_needs_a_human_and_the_old_one_is_kept() -> None:
    end = disturbed(frozen, delete_volume("newPVName"))
    assert (end.code, end.end) == (JOB_NEEDS_HUMAN, "NeedsHuman") and entry(end.api, 0)["newPVName"] in end.message
    assert on_disk(end.api, entry(end.api, 0)["oldPVName"], 0) and end.api.empty_claims == []


@pytest.mark.row("new-volume-deleted-used")
def test_a_new_volume_that_is_deleted_when_the_application_uses_it_stays_for_as_long_as_it_does() -> None:
    end = disturbed(starting, delete_volume("newPVName"))
    assert end.code == JOB_DONE
    demand_nothing_lost(end.api)


@pytest.mark.row("volume-forced")
@pytest.mark.parametrize("which", ["oldPVName", "newPVName"])
@pytest.mark.parametrize("moment", [stopped, frozen])
def test_a_volume_that_is_deleted_by_force_under_a_stopped_pod_needs_a_human_or_leaves_the_old_side(moment: Moment, which: str) -> None:
    end = disturbed(moment, delete_volume(which, force=True))
    assert end.api.empty_claims == [] and end.end in ("NeedsHuman", "Resumable")
    other = "newPVName" if which == "oldPVName" else "oldPVName"
    if end.end == "Resumable":
        demand_nothing_lost(end.api)
    else:
        assert entry(end.api, 0)[which] in end.message and find(end.api, "persistentvolumes", entry(end.api, 0)[other]) is not None


@pytest.mark.row("volume-policy")
@pytest.mark.parametrize("which", ["oldPVName", "newPVName"])
@pytest.mark.parametrize("moment", [stopped, swapping, frozen])
def test_a_volume_whose_policy_somebody_sets_to_delete_is_kept_again_before_its_claim_goes(moment: Moment, which: str) -> None:
    def give_up(api: FakeApi, ordinal: int) -> None:
        hand = change("persistentvolumes", str(entry(api, ordinal)[which]), lambda new: new["spec"].update(persistentVolumeReclaimPolicy="Delete"))
        hand(api, ordinal)

    end = disturbed(moment, give_up)
    assert end.code == JOB_DONE
    demand_migrated(end.api, {"data": "500Mi"})
