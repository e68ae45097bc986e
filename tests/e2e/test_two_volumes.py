"""Two volumes of each of two replicas that start in parallel, in one request: two sizes, one of them in another StorageClass, and claims that the
StatefulSet itself would delete."""
from __future__ import annotations

from dataclasses import replace

import pytest
from application import Application
from namespaces import Namespace, until

from kubectl_volresize.model import labels

pytestmark = pytest.mark.cluster
RETENTION = {"whenDeleted": "Delete", "whenScaled": "Delete"}


@pytest.fixture(scope="module")
def migrated(namespace: Namespace) -> Application:
    application = Application(namespace, volumes={"data": "64Mi", "logs": "48Mi"}, replicas=2, spec={"podManagementPolicy": "Parallel"})
    application.start()
    # Only now: the controller's owner references and the scheduler's binding of fresh claims get into each other's way (seen), and the two volumes
    # of a replica may end on two nodes.
    application = replace(application, spec={**application.spec, "persistentVolumeClaimRetentionPolicy": RETENTION})
    namespace.apply(application.manifest())
    until("the claims belong to the StatefulSet", lambda: claims_are_owned(application))
    namespace.submit("app", "--volume", "data=32Mi", "--volume", "logs=24Mi,storageClass=retain")
    followed = namespace.follow("app")
    assert followed.returncode == 0, followed.stdout + followed.stderr
    return application


def claims_are_owned(application: Application) -> bool:
    """By the StatefulSet that there is now, for its retention policy."""
    uid = application.the_set()["metadata"]["uid"]
    return all(uid in {owner["uid"] for owner in claim["metadata"].get("ownerReferences", ())}
               for claim in application.namespace.objects("persistentvolumeclaims"))


def test_the_data_of_both_volumes_survives(migrated: Application) -> None:
    assert migrated.marks() == migrated.expected_marks()


def test_each_volume_gets_its_own_size(migrated: Application) -> None:
    assert migrated.template_sizes() == {"data": "32Mi", "logs": "24Mi"}
    for ordinal in range(2):
        assert {volume: migrated.claim(ordinal, volume)["status"]["capacity"]["storage"] for volume in migrated.volumes} == {
            "data": "32Mi", "logs": "24Mi"}
        assert 24 < migrated.mebibytes(ordinal, "data") <= 32 and 16 < migrated.mebibytes(ordinal, "logs") <= 24


def test_only_the_volume_that_asked_for_another_class_gets_it(migrated: Application) -> None:
    for ordinal in range(2):
        for volume, storage_class in (("data", "standard"), ("logs", "retain")):
            assert migrated.claim(ordinal, volume)["spec"]["storageClassName"] == storage_class
            assert migrated.volume_of(ordinal, volume)["spec"]["storageClassName"] == storage_class
    classes = {template["metadata"]["name"]: template["spec"]["storageClassName"] for template in migrated.the_set()["spec"]["volumeClaimTemplates"]}
    assert classes == {"data": "standard", "logs": "retain"}


def test_the_new_volumes_have_the_reclaim_policies_of_their_classes(migrated: Application) -> None:
    policies = {volume: migrated.volume_of(0, volume)["spec"]["persistentVolumeReclaimPolicy"] for volume in migrated.volumes}
    assert policies == {"data": "Delete", "logs": "Retain"}


def test_the_old_volumes_of_both_replicas_are_kept(migrated: Application) -> None:
    kept = migrated.namespace.objects("persistentvolumes", "-l", f"{labels.MIGRATION}=app,{labels.ROLE}={labels.ROLE_OLD}")
    ours = [volume for volume in kept if volume["spec"]["claimRef"]["namespace"] == migrated.namespace.name]
    assert [(volume["spec"]["persistentVolumeReclaimPolicy"], volume["status"]["phase"]) for volume in ours] == [("Retain", "Released")] * 4


def test_the_policy_that_deletes_claims_is_given_back_and_works_again(migrated: Application) -> None:
    assert migrated.the_set()["spec"]["persistentVolumeClaimRetentionPolicy"] == RETENTION
    until("the claims belong to the StatefulSet again", lambda: claims_are_owned(migrated))


def test_nothing_of_ours_is_left_behind(migrated: Application) -> None:
    assert migrated.namespace.nothing_left() == []
