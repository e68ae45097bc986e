"""One replica, one volume, with either binding mode of a StorageClass: the whole way from `submit` to a smaller volume, and what is kept."""
from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from application import Application
from namespaces import Namespace

from kubectl_volresize.model import labels

pytestmark = pytest.mark.cluster
Migrated = tuple[Application, str]  # and the name of the old volume


@pytest.fixture(scope="module", params=["standard", "immediate"])
def migrated(request: pytest.FixtureRequest, new_namespace: Callable[[], Namespace]) -> Iterator[Migrated]:
    """`standard` binds when a pod comes, `immediate` before."""
    namespace = new_namespace()
    application = Application(namespace, storage_class=request.param)
    application.start()
    old = str(application.claim(0)["spec"]["volumeName"])
    namespace.submit("app", "--volume", "data=32Mi")
    followed = namespace.follow("app")
    assert followed.returncode == 0, followed.stdout + followed.stderr
    yield application, old
    namespace.abandon()


def test_the_data_survives(migrated: Migrated) -> None:
    application, _ = migrated
    assert application.marks() == application.expected_marks()


def test_the_application_sees_a_smaller_file_system(migrated: Migrated) -> None:
    application, _ = migrated
    # ext4 keeps some of it for itself.
    assert 24 < application.mebibytes(0, "data") <= 32


def test_the_claim_its_volume_and_the_templates_have_the_new_size(migrated: Migrated) -> None:
    application, old = migrated
    claim, volume = application.claim(0), application.volume_of(0)
    assert claim["spec"]["resources"]["requests"]["storage"] == claim["status"]["capacity"]["storage"] == "32Mi"
    assert volume["spec"]["capacity"]["storage"] == "32Mi" and volume["metadata"]["name"] != old
    assert application.template_sizes() == {"data": "32Mi"}


def test_the_new_volume_has_the_reclaim_policy_of_its_class_again(migrated: Migrated) -> None:
    application, _ = migrated
    volume = application.volume_of(0)
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
    assert not [key for key in volume["metadata"].get("annotations", {}) if key.startswith(labels.GROUP)]


def test_nothing_of_ours_is_left_behind(migrated: Migrated) -> None:
    application, _ = migrated
    assert application.namespace.nothing_left() == []


def test_the_old_volume_is_kept_and_still_holds_the_data(migrated: Migrated) -> None:
    application, old = migrated
    volume = application.namespace.get("persistentvolume", old)
    assert (volume["spec"]["persistentVolumeReclaimPolicy"], volume["status"]["phase"]) == ("Retain", "Released")
    assert volume["metadata"]["labels"][labels.ROLE] == labels.ROLE_OLD
    assert application.on_volume(old, "/mark") == application.mark(0, "data")


def test_submitting_the_same_again_finds_nothing_to_do(migrated: Migrated) -> None:
    application, _ = migrated
    before = application.claim_uids()
    again = application.namespace.volresize("submit", "app", "--volume", "data=32Mi", "--error-unchanged")
    assert again.returncode == 3 and "nothing to do" in again.stdout + again.stderr
    assert application.namespace.names("volumeresizes") == {"app"} and application.claim_uids() == before
