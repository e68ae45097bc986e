"""What a write promises: who may overwrite whom, and when a deleted object is gone. Every safety argument of the runner stands on these answers."""
from __future__ import annotations

import pytest

from kubectl_volresize.errors import AlreadyExists, ApiError, Conflict, NotFound, Unprocessable
from kubectl_volresize.kube import paths

OURS, THEIRS = "storage.maurice.fr/contract", "example.test/theirs"


def test_what_is_not_there_is_not_found(cluster):
    with pytest.raises(NotFound):
        cluster.client.get(cluster.pod_path("nobody"))
    with pytest.raises(NotFound):
        cluster.client.delete(cluster.pod_path("nobody"))
    with pytest.raises(NotFound):
        cluster.client.merge_patch(cluster.claim_path("nobody"), {"metadata": {"labels": {"a": "b"}}})


def test_a_second_object_of_a_name_is_refused(cluster):
    first = cluster.config_map()
    with pytest.raises(AlreadyExists):
        cluster.config_map(name=first["metadata"]["name"])


def test_an_object_that_goes_still_has_its_name(cluster):
    first = cluster.config_map(finalizers=[OURS])
    cluster.client.delete(cluster.config_map_path(first))
    with pytest.raises(AlreadyExists, match="already exists"):
        cluster.config_map(name=first["metadata"]["name"])
    cluster.client.json_patch(cluster.config_map_path(first), [{"op": "remove", "path": "/metadata/finalizers"}])


def test_a_replace_of_what_somebody_changed_meanwhile_is_a_conflict(cluster):
    read = cluster.config_map()
    cluster.client.merge_patch(cluster.config_map_path(read), {"data": {"key": "theirs"}})
    with pytest.raises(Conflict):
        cluster.client.replace(cluster.config_map_path(read), {**read, "data": {"key": "ours"}})
    assert cluster.client.get(cluster.config_map_path(read))["data"] == {"key": "theirs"}


def test_a_record_cannot_be_replaced_without_a_version(cluster):
    record = cluster.migration()
    path = paths.migration_status(cluster.namespace, record["metadata"]["name"])
    meta = {key: value for key, value in record["metadata"].items() if key != "resourceVersion"}
    with pytest.raises(Unprocessable, match="must be specified for an update"):
        cluster.client.replace(path, {**record, "metadata": meta, "status": {"phase": "Syncing"}})


def test_a_merge_patch_can_be_guarded_by_version_and_by_uid(cluster):
    read = cluster.config_map()
    changed = cluster.client.merge_patch(cluster.config_map_path(read), {"data": {"key": "two"}})
    for guard in ({"resourceVersion": read["metadata"]["resourceVersion"]}, {"uid": "00000000-0000-0000-0000-000000000000"}):
        with pytest.raises(Conflict):
            cluster.client.merge_patch(cluster.config_map_path(read), {"metadata": guard, "data": {"key": "three"}})
    guard = {"resourceVersion": changed["metadata"]["resourceVersion"], "uid": changed["metadata"]["uid"]}
    assert cluster.client.merge_patch(cluster.config_map_path(read), {"metadata": guard, "data": {"key": "three"}})["data"] == {"key": "three"}


def test_a_json_patch_whose_test_fails_changes_nothing(cluster):
    read = cluster.config_map()
    ops = [{"op": "replace", "path": "/data/key", "value": "two"}, {"op": "test", "path": "/metadata/uid", "value": "another"}]
    with pytest.raises(Unprocessable):
        cluster.client.json_patch(cluster.config_map_path(read), ops)
    assert cluster.client.get(cluster.config_map_path(read)) == read


def test_a_json_patch_of_a_path_that_is_not_there_is_refused(cluster):
    read = cluster.config_map()
    for op in ({"op": "remove", "path": "/metadata/finalizers"}, {"op": "test", "path": "/metadata/finalizers", "value": []},
               {"op": "add", "path": "/metadata/finalizers/-", "value": OURS}, {"op": "add", "path": "/metadata/annotations/a~1b", "value": "x"}):
        with pytest.raises(Unprocessable):
            cluster.client.json_patch(cluster.config_map_path(read), [op])


def test_a_json_patch_can_test_that_nothing_is_there_and_may_replace_a_key_that_is_not(cluster):
    read = cluster.config_map()
    ops = [{"op": "test", "path": "/metadata/finalizers", "value": None}, {"op": "replace", "path": "/data/other", "value": "x"}]
    assert cluster.client.json_patch(cluster.config_map_path(read), ops)["data"] == {"key": "one", "other": "x"}


def test_a_json_patch_with_an_old_version_inside_is_a_conflict(cluster):
    read = cluster.config_map()
    cluster.client.merge_patch(cluster.config_map_path(read), {"data": {"key": "theirs"}})
    ops = [{"op": "replace", "path": "/metadata/resourceVersion", "value": read["metadata"]["resourceVersion"]},
           {"op": "replace", "path": "/data/key", "value": "ours"}]
    with pytest.raises(Conflict):
        cluster.client.json_patch(cluster.config_map_path(read), ops)


def test_a_delete_meant_for_another_object_of_that_name_is_a_conflict(cluster):
    first = cluster.config_map()
    path = cluster.config_map_path(first)
    cluster.client.delete(path)
    cluster.config_map(name=first["metadata"]["name"])
    with pytest.raises(Conflict):
        cluster.client.delete(path, uid=first["metadata"]["uid"])
    assert cluster.client.find(path)


def test_a_delete_by_uid_alone_loses_the_edit_that_a_version_would_have_saved(cluster):
    read = cluster.config_map()
    path = cluster.config_map_path(read)
    cluster.client.merge_patch(path, {"data": {"key": "theirs"}})
    with pytest.raises(Conflict):
        cluster.client.delete(path, uid=read["metadata"]["uid"], resource_version=read["metadata"]["resourceVersion"])
    assert cluster.client.get(path)["data"] == {"key": "theirs"}
    cluster.client.delete(path, uid=read["metadata"]["uid"])
    assert cluster.client.find(path) is None


def test_a_finalizer_keeps_a_deleted_object_until_it_is_taken_off(cluster):
    made = cluster.config_map(finalizers=[OURS, THEIRS])
    path = cluster.config_map_path(made)
    cluster.client.delete(path)
    cluster.client.delete(path)
    stays = cluster.client.get(path)
    assert stays["metadata"]["deletionTimestamp"] and stays["metadata"]["finalizers"] == [OURS, THEIRS]
    cluster.client.merge_patch(path, {"metadata": {"finalizers": [THEIRS]}})
    assert cluster.client.get(path)["metadata"]["uid"] == made["metadata"]["uid"]
    cluster.client.merge_patch(path, {"metadata": {"finalizers": None}})
    assert cluster.client.find(path) is None


def test_no_finalizer_can_be_added_to_what_is_being_deleted(cluster):
    made = cluster.config_map(finalizers=[THEIRS])
    path = cluster.config_map_path(made)
    cluster.client.delete(path)
    with pytest.raises(Unprocessable, match="no new finalizers can be added"):
        cluster.client.json_patch(path, [{"op": "add", "path": "/metadata/finalizers/-", "value": OURS}])
    cluster.client.json_patch(path, [{"op": "remove", "path": "/metadata/finalizers"}])


def test_a_merge_patch_of_finalizers_overwrites_those_of_others(cluster):
    made = cluster.config_map(finalizers=[THEIRS])
    path = cluster.config_map_path(made)
    cluster.client.merge_patch(path, {"metadata": {"finalizers": [OURS]}})
    assert cluster.client.get(path)["metadata"]["finalizers"] == [OURS]
    cluster.client.merge_patch(path, {"metadata": {"finalizers": None}})


def test_a_write_that_changes_nothing_makes_no_new_version(cluster):
    made = cluster.config_map()
    again = cluster.client.merge_patch(cluster.config_map_path(made), {"data": {"key": "one"}})
    assert again["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def test_a_new_object_cannot_bring_a_version_but_any_uid_is_replaced(cluster):
    with pytest.raises(ApiError, match="resourceVersion should not be set on objects to be created"):
        cluster.config_map(resourceVersion="1")
    made = cluster.config_map(uid="00000000-0000-0000-0000-000000000000", deletionTimestamp="2026-01-01T00:00:00Z")
    assert made["metadata"]["uid"] != "00000000-0000-0000-0000-000000000000"
    assert "deletionTimestamp" not in made["metadata"]


def test_a_dry_run_changes_nothing(cluster):
    made = cluster.config_map()
    path, name = cluster.config_map_path(made), cluster.name()
    rehearsed = cluster.client.create(path.rpartition("/")[0], {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}, dry_run=True)
    assert rehearsed["metadata"]["namespace"] == cluster.namespace
    assert cluster.client.merge_patch(path, {"data": {"key": "two"}}, dry_run=True)["data"] == {"key": "two"}
    cluster.client.replace(path, {**made, "data": {"key": "three"}}, dry_run=True)
    cluster.client.json_patch(path, [{"op": "remove", "path": "/data"}], dry_run=True)
    cluster.client.delete(path, dry_run=True)
    assert cluster.client.get(path) == made
    assert cluster.client.find(path.replace(made["metadata"]["name"], name)) is None


def test_a_list_comes_page_by_page_and_by_label(cluster):
    mark = cluster.name()
    names = sorted(cluster.config_map(labels={"mark": mark, "half": str(number % 2)})["metadata"]["name"] for number in range(5))
    path = cluster.config_map_path({"metadata": {"name": ""}}).rstrip("/")
    page = cluster.client.get(path, labelSelector=f"mark={mark}", limit=2)
    seen = [item["metadata"]["name"] for item in page["items"]]
    while page["metadata"].get("continue"):
        page = cluster.client.get(path, **{"labelSelector": f"mark={mark}", "limit": 2, "continue": page["metadata"]["continue"]})
        assert len(page["items"]) <= 2
        seen += [item["metadata"]["name"] for item in page["items"]]
    assert seen == names
    assert len(cluster.client.list(path, label_selector=f"mark={mark},half=1")) == 2
    assert len(cluster.client.list(path, label_selector=f"mark={mark},half notin (1)")) == 3
    assert len(cluster.client.list(path, fieldSelector=f"metadata.name={names[0]}")) == 1


def test_apply_creates_what_is_missing_and_merges_into_what_is_there(cluster):
    name = cluster.name()
    path = cluster.config_map_path({"metadata": {"name": name}})
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": cluster.namespace}, "data": {"key": "one"}}
    made = cluster.client.apply(path, body, "contract")
    cluster.client.merge_patch(path, {"data": {"other": "theirs"}})
    merged = cluster.client.apply(path, {**body, "data": {"key": "two"}}, "contract")
    assert merged["data"] == {"key": "two", "other": "theirs"}
    assert merged["metadata"]["uid"] == made["metadata"]["uid"]


def test_a_watch_tells_what_happened_since_a_version(cluster):
    made = cluster.config_map()
    path = cluster.config_map_path(made)
    cluster.client.merge_patch(path, {"data": {"key": "two"}})
    cluster.client.delete(path)
    selector = f"metadata.name={made['metadata']['name']}"
    seen = []
    for kind, obj in cluster.client.watch(path.rpartition("/")[0], made["metadata"]["resourceVersion"], 5, fieldSelector=selector):
        if kind != "BOOKMARK":
            seen.append((kind, obj["data"]["key"]))
    assert seen == [("MODIFIED", "two"), ("DELETED", "two")]
