"""The VolumeResize itself: what the server refuses, and that status and spec are written apart."""
from __future__ import annotations

from dataclasses import MISSING, fields

import pytest

from kubectl_volresize.errors import Conflict, Unprocessable
from kubectl_volresize.kube import paths
from kubectl_volresize.model.record import Record, ReplicaRecord, VolumeRecord
from kubectl_volresize.templates import render


def _paths(cluster, record):
    name = record["metadata"]["name"]
    return paths.migrations(cluster.namespace, name), paths.migration_status(cluster.namespace, name)


def _create(cluster, **spec):
    wanted = {"statefulSetName": "web", "volumes": [{"name": "data", "newSize": "500Mi"}], **spec}
    body = render("volumeresize", name=cluster.name(), namespace=cluster.namespace, spec=wanted)
    return cluster.client.create(paths.migrations(cluster.namespace), body)


def test_a_new_record_is_pending_whatever_was_sent(cluster):
    body = render("volumeresize", name=cluster.name(), namespace=cluster.namespace,
                  spec={"statefulSetName": "web", "volumes": [{"name": "data", "newSize": "500Mi"}]})
    made = cluster.client.create(paths.migrations(cluster.namespace), {**body, "status": {"phase": "Completed"}})
    assert made["status"]["phase"] == "Pending"
    assert made["status"]["message"]
    assert made["spec"]["headRoomPercent"] == 10
    assert made["metadata"]["generation"] == 1


def test_status_and_spec_are_written_apart(cluster):
    record = cluster.migration()
    main, status = _paths(cluster, record)
    written = cluster.client.replace(status, {**record, "spec": {**record["spec"], "headRoomPercent": 50}, "status": {"phase": "Syncing"}})
    assert written["status"] == {"phase": "Syncing"}
    assert written["spec"] == record["spec"]
    assert written["metadata"]["generation"] == 1
    amended = cluster.client.replace(main, {**written, "spec": {**record["spec"], "headRoomPercent": 20}, "status": {"phase": "Failed"}})
    assert amended["status"] == {"phase": "Syncing"}
    assert amended["metadata"]["generation"] == 2
    patched = cluster.client.merge_patch(main, {"status": {"phase": "Failed"}, "metadata": {"annotations": {"a": "b"}}})
    assert patched["status"] == {"phase": "Syncing"}
    assert patched["metadata"]["annotations"] == {"a": "b"}
    assert patched["metadata"]["generation"] == 2


def test_a_status_of_an_old_version_is_a_conflict(cluster):
    record = cluster.migration()
    main, status = _paths(cluster, record)
    cluster.client.merge_patch(main, {"metadata": {"annotations": {"a": "b"}}})
    with pytest.raises(Conflict):
        cluster.client.replace(status, {**record, "status": {"phase": "Syncing"}})


def _filled(kind, **known):
    """A value of this dataclass with something in every field, so that a field the schema does not know cannot hide."""
    samples = {str: "text", int: 1, dict: {"key": "value"}, tuple: ({"key": "value"},), type(None): 1}
    values = {}
    for spec in fields(kind):
        default = spec.default_factory() if spec.default_factory is not MISSING else spec.default
        values[spec.name] = known.get(spec.name, samples[type(default)])
    return kind(**values)


def test_every_field_of_the_record_comes_back_as_it_was_written(cluster):
    record = cluster.migration()
    _, status = _paths(cluster, record)
    now = "2026-01-02T03:04:05Z"
    figures = {"bytes": 1, "totalBytes": 2, "files": 3, "bytesPerSecond": 4, "secondsLeft": 5}
    whole = _filled(Record, phase="Replacing", start_time=now, completion_time=now, conditions=(),
                    volumes=(_filled(VolumeRecord, phase="Waiting", passes=[{"pass": 1}], verified_at=now, cleaned=True, copied=figures),),
                    replicas=(_filled(ReplicaRecord),))
    written = whole.with_condition("Progressing", "True", "Syncing", "m", now, 1).to_status()
    cluster.client.replace(status, {**record, "status": written})
    assert cluster.client.get(paths.migrations(cluster.namespace, record["metadata"]["name"]))["status"] == written


@pytest.mark.parametrize("wrong", [
    {"volumes": []}, {"volumes": [{"name": "data"}]}, {"volumes": [{"name": "data", "newSize": "much"}]},
    {"volumes": [{"name": "data", "newSize": "0"}]},
    {"volumes": [{"name": "data", "newSize": "1Gi"}, {"name": "data", "newSize": "2Gi"}]}, {"statefulSetName": ""}, {"headRoomPercent": -1},
    {"headRoomPercent": "ten"}], ids=["no volumes", "no size", "no quantity", "zero", "named twice", "no set", "below 0", "no number"])
def test_the_server_itself_refuses_a_bad_request(cluster, wrong):
    with pytest.raises(Unprocessable):
        _create(cluster, **wrong)


@pytest.mark.parametrize("status", [{"phase": "Nearly"}, {"phase": "Syncing", "startTime": "yesterday"}, {"phase": "Syncing", "currentReplica": "2"},
                                    {"phase": "Syncing", "conditions": [{"type": "Ready", "status": "True"}]}],
                         ids=["phase", "time", "number", "condition"])
def test_the_server_itself_refuses_a_bad_status(cluster, status):
    record = cluster.migration()
    with pytest.raises(Unprocessable):
        cluster.client.replace(_paths(cluster, record)[1], {**record, "status": status})


def test_the_target_cannot_change_once_the_migration_has_started(cluster):
    record = cluster.migration()
    main, status = _paths(cluster, record)
    larger = {"spec": {"volumes": [{"name": "data", "newSize": "600Mi"}]}}
    cluster.client.merge_patch(main, larger)
    cluster.client.merge_patch(status, {"status": {"phase": "Validating", "startTime": "2026-01-02T03:04:05Z"}})
    with pytest.raises(Unprocessable, match="cannot change after the migration has started"):
        cluster.client.merge_patch(main, {"spec": {"volumes": [{"name": "data", "newSize": "700Mi"}]}})
    cluster.client.merge_patch(main, {"spec": {"copy": {"bandwidth": "50M"}}})
