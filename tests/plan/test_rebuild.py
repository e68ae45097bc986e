"""What is believed of a lost record: its copy only where the cluster bears it out, labels only for going back, and nothing that could cost data."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from states import (MIGRATION, MIGRATION_UID, NOW, OLD_SIZE, REPLICA, State, claim, claim_name, copied, exchanged, frozen, new_pv, old_pv,
                    running, shut_down, stopped_pod, swapping, temporary_name, uid_of, volume)

from kubectl_volresize.model import labels
from kubectl_volresize.model.asked import RESUME, Asked
from kubectl_volresize.model.objects import Claim, Volume
from kubectl_volresize.model.kept import Kept, pack, unpack
from kubectl_volresize.model.record import Record
from kubectl_volresize.plan.rebuild import RefuseToRebuild, WriteAgain, next_to_rebuild
from kubectl_volresize.plan.steps import Step
from kubectl_volresize.plan.undo import next_for_undo
from kubectl_volresize.plan.undo_steps import GiveUpVolume

BY_LABELS = Asked("1", RESUME, {"rebuild": True, "volumes": []})
BY_COPY = Asked("1", RESUME, {"rebuild": True})


def _labelled(one: Any, role: str = labels.ROLE_NEW, ordinal: int = REPLICA, name: str = "data", migration: str = MIGRATION) -> Any:
    """The same object with the labels that we give it."""
    marks = {labels.MIGRATION: migration, labels.REPLICA: str(ordinal), labels.VOLUME: name, labels.ROLE: role}
    return type(one)({**one.raw, "metadata": {**one.raw["metadata"], "labels": marks}})


def _as_labelled(state: State) -> State:
    """With all labels on what was made for replica 2, and all old volumes on what their claims say."""
    claims = [_labelled(one) for name, one in state.cluster.claims.items() if name == temporary_name("data")]
    volumes = [_labelled(one) for name, one in state.cluster.volumes.items() if name == new_pv("data")]
    return state.with_claims(*claims).with_volumes(*volumes)


def _by_labels(state: State) -> Step:
    return next_to_rebuild(state.cluster, state.request, BY_LABELS)


def _by_copy(state: State, kept: Kept) -> Step:
    return next_to_rebuild(replace(state.cluster, kept=kept), state.request, BY_COPY)


def _kept(state: State, **fields: Any) -> Kept:
    record = replace(state.record, mark=MIGRATION_UID, start_time=NOW)
    return replace(Kept(MIGRATION, state.request.to_spec(), record), **fields)


def _reasons(step: Step) -> str:
    assert isinstance(step, RefuseToRebuild), step
    return "; ".join(step.reasons)


# -- the copy


@pytest.mark.parametrize("moment", [copied, shut_down, swapping, frozen, exchanged])
def test_the_copy_is_the_record_again(moment: Any) -> None:
    state = moment()
    step = _by_copy(state, _kept(state))
    assert isinstance(step, WriteAgain)
    assert step.recorded(Record(mark="another"), "2030-01-01T00:00:00Z") == replace(state.record, mark=MIGRATION_UID, start_time=NOW)


def test_the_copy_survives_its_way_through_an_annotation_and_is_the_same_whoever_wrote_it() -> None:
    kept = _kept(frozen())
    text = pack(kept)
    assert unpack(text) == kept and pack(replace(kept, record=replace(kept.record, runner="somebody"))) == text


@pytest.mark.parametrize("text", ["", "not base64!", "H4sI", "e30=", pack(Kept("web", {}, Record()))[:-12]])
def test_a_copy_that_cannot_be_read_is_none(text: str) -> None:
    assert unpack(text) is None


def test_a_copy_of_another_request_is_not_taken() -> None:
    state = copied()
    other = running("data", "logs").request
    for kept in (_kept(state, name="web-2"), _kept(state, spec=other.to_spec())):
        assert "asked for something else" in _reasons(_by_copy(state, kept))
    assert "cannot be read" in _reasons(_by_copy(state, _kept(state, spec={"volumes": 3})))
    assert "had not begun" in _reasons(_by_copy(state, _kept(state, record=Record())))


def test_a_copy_that_names_a_volume_of_another_namespace_or_another_uid_is_not_taken() -> None:
    state = copied()
    theirs = volume("theirs", claim_name="data-db-0", claim_uid="x")
    theirs.raw["spec"]["claimRef"]["namespace"] = "other"
    for changed in ({"new_pv": "theirs", "new_pv_uid": uid_of("theirs")}, {"old_pv_uid": "made up"}):
        record = _kept(state).record.with_volume(REPLICA, "data", **changed)
        assert "is not the one that the copy names" in _reasons(_by_copy(state.with_volumes(theirs), _kept(state, record=record)))


def test_a_volume_that_is_gone_speaks_against_nothing() -> None:
    state = exchanged().without_volumes(old_pv("data"))
    assert isinstance(_by_copy(state, _kept(state)), WriteAgain)


# -- labels alone


@pytest.mark.parametrize("moment", [copied, shut_down, swapping])
def test_by_labels_what_was_begun_is_put_back(moment: Any) -> None:
    state = moment()
    # The set stands in all of them: `swapping` is the moment before the freeze.
    step = _by_labels(_as_labelled(state))
    assert isinstance(step, WriteAgain)
    record = step.recorded(Record(), NOW)
    assert record.stopping["reason"] == labels.CANCELLED and record.current_replica == REPLICA
    entry = record.volume(REPLICA, "data")
    assert (entry.old_claim_uid, entry.old_pv_uid, entry.new_pv) == (uid_of(claim_name("data")), uid_of(old_pv("data")), new_pv("data"))
    assert not entry.verified and not record.saved_set, "nothing may be exchanged on the word of labels"


def test_by_labels_nothing_is_put_back_where_nothing_was_begun() -> None:
    step = _by_labels(running())
    assert isinstance(step, WriteAgain) and step.record.current_replica is None and step.record.volumes == ()


def test_a_reserved_volume_is_given_up_although_the_uid_of_its_claim_is_lost() -> None:
    state = _as_labelled(swapping()).without_pod()
    step = _by_labels(state)
    assert isinstance(step, WriteAgain)
    given_up = next_for_undo(state.cluster, step.recorded(Record(), NOW), state.request, labels.CANCELLED, "")
    assert isinstance(given_up, GiveUpVolume)
    assert (given_up.pv, given_up.claim) == (new_pv("data"), temporary_name("data")) and given_up.claim_uid


@pytest.mark.parametrize(("moment", "word"), [(frozen, "frozen or going"), (exchanged, "frozen or going")])
def test_by_labels_a_set_that_is_away_is_for_a_human(moment: Any, word: str) -> None:
    state = _as_labelled(moment())
    assert word in _reasons(_by_labels(state))
    assert "is gone" in _reasons(_by_labels(state.with_set(None)))


def test_by_labels_a_claim_that_is_missing_or_going_or_unsure_is_for_a_human() -> None:
    state, name = _as_labelled(copied()), claim_name("data", 0)
    pv = state.cluster.volumes[old_pv("data", 0)]
    spoiled_claims: tuple[dict[str, Any], ...] = ({"terminating": True}, {"phase": "Pending"}, {"uid": "new"})
    for spoiled in (state.without_claims(name), state.without_volumes(pv.name),
                    *(state.with_claims(claim(name, pv=pv.name, **fields)) for fields in spoiled_claims)):
        assert f"claim {name} is not Bound" in _reasons(_by_labels(spoiled))


def test_by_labels_a_replica_on_its_way_back_is_for_a_human() -> None:
    # Old and new have changed places: what looks like half a copy is the user's old data.
    small = claim(claim_name("data"), pv=new_pv("data"))
    state = copied().without_claims(temporary_name("data")).with_pod(REPLICA, stopped_pod(REPLICA)).with_claims(_labelled(small)).with_volumes(
        _labelled(volume(new_pv("data"), claim_name=small.name, claim_uid=small.uid), role=labels.ROLE_OLD),
        _labelled(volume(old_pv("data"), claim_name=small.name)))
    assert "a rollback" in _reasons(_by_labels(state))


def test_by_labels_two_replicas_that_are_begun_are_for_a_human() -> None:
    state = _as_labelled(copied()).with_pod(1, stopped_pod(1))
    assert "replicas 2, 1 are begun" in _reasons(_by_labels(state))


def test_by_labels_a_volume_that_a_claim_only_names_is_not_taken() -> None:
    # Whoever may create claims may name any volume in them.
    foreign = Claim({"metadata": {"name": temporary_name("data"), "uid": "x", "annotations": {labels.MIGRATION_UID: MIGRATION_UID}},
                     "spec": {"volumeName": "theirs"}, "status": {"phase": "Bound"}})
    theirs: Volume = _labelled(volume("theirs", claim_name="data-db-0", claim_uid="y", size=OLD_SIZE))
    theirs.raw["spec"]["claimRef"]["namespace"] = "other"
    step = _by_labels(running().with_claims(_labelled(foreign)).with_volumes(theirs))
    assert isinstance(step, WriteAgain) and step.record.volume(REPLICA, "data").new_pv == ""


def test_without_copy_and_without_the_right_to_look_for_volumes_nothing_is_done() -> None:
    assert "no copy of it" in _reasons(next_to_rebuild(copied().cluster, copied().request, BY_COPY))


def test_a_refusal_ends_the_new_one_and_answers_its_user() -> None:
    step = next_to_rebuild(copied().cluster, copied().request, BY_COPY)
    record = step.recorded(Record(), NOW)
    assert (record.phase, record.reason, record.last_request["outcome"]) == (labels.FAILED, "Refused", "refused")
