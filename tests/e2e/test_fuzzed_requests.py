"""Whatever stands in a VolumeResize, three readers agree: the schema in a real API server (by dry runs), the plugin that reads the file, and the
spec's reader in plugin and runner.

The schema is asked under a group of its own: others install theirs in this cluster.
"""
from __future__ import annotations

import copy
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from namespaces import until
from states import running

from kubectl_volresize.errors import ApiError, UsageError
from kubectl_volresize.kube.auth import from_kubeconfig
from kubectl_volresize.kube.client import Client, Object
from kubectl_volresize.model import labels
from kubectl_volresize.model.request import from_spec
from kubectl_volresize.plan import preflight
from kubectl_volresize.plugin.manifest import load
from kubectl_volresize.templates import render

pytestmark = pytest.mark.cluster
RIGHT: Object = {"statefulSetName": "web", "headRoomPercent": 10, "acknowledge": ["owned-set"], "copy": {"bandwidth": "50M"},
                 "volumes": [{"name": "data", "newSize": "500Mi", "storageClass": "slow"}, {"name": "wal", "newSize": 1 << 30}],
                 "mover": {"image": "example.test/volmig:1",
                           "resources": {"requests": {"cpu": "100m", "memory": 1 << 20}, "limits": {"memory": "1Gi"}},
                           "tolerations": [{"key": "a", "operator": "Exists", "tolerationSeconds": 5}], "imagePullSecrets": [{"name": "s"}]}}

Way = tuple[str | int, ...]


def paths_in(value: Any, path: Way = ()) -> Iterator[Way]:
    """Of each field and each entry."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from paths_in(item, (*path, key))


scalars = st.sampled_from([None, True, False, 0, 1, -1, 1000, 1001, 2**31, 2**63 - 1, 2**63, -2**63, 10**30, 0.0, 1.0, 2.5, 1e300])
# Exponents of three digits at most, see REFUSED_BY_SCHEMA.
sizes = st.sampled_from(["0", "-1Gi", "+1Gi", "1e3", "0.5Gi", "1n", "8Ei", "1e1000", "1e00009", "500M i", " 1Gi", "1Gi ", "1Gi\n", "Mi", ".", "1.",
                         "1.Ki", "1" * 40, "1" * 41, "0" * 5000 + "1", "0.0000000000001", "1K", "\N{ARABIC-INDIC DIGIT THREE}Gi"])
names = st.sampled_from(["", " ", "a", "0", "a.b", "a..b", "-a", "a-", "a\n", "A", "a_b", "a/b", "\N{LATIN SMALL LETTER E WITH ACUTE}", "a" * 63,
                         "a" * 64, "a" * 253, "a" * 254, "a" * 5000, "\x00", "\x7f",
                         "\N{GRINNING FACE}", "data", "wal", "example.test/x y", "{name}"])
junk = scalars | sizes | names | st.text(max_size=5)
keys = st.sampled_from(["name", "newSize", "image", "cpu", "x"]) | st.text(max_size=3)
values = junk | st.lists(junk, max_size=2) | st.dictionaries(keys, junk, max_size=2)


@st.composite
def specs(draw: st.DrawFn) -> Any:
    """A right spec with up to three of its fields gone, doubled, or with another value; or a new field."""
    spec = copy.deepcopy(RIGHT)
    for _ in range(draw(st.integers(0, 3))):
        *way, last = draw(st.sampled_from(list(paths_in(spec)) or [("statefulSetName",)]))
        holder: Any = spec
        for key in way:
            holder = holder[key]
        match draw(st.sampled_from(["gone", "value", "value", "size or name", "size or name", "new", "double"])):
            case "gone":
                holder.pop(last, None) if isinstance(holder, dict) else holder.pop(last)
            case "value":
                holder[last] = draw(values)
            case "size or name":
                holder[last] = draw(sizes | names)
            case "new" if isinstance(holder, dict):
                holder[draw(st.sampled_from(["newsize", "NewSize", "size", "x", ""]))] = draw(values)
            case "double" if isinstance(holder, list):
                holder += [copy.deepcopy(holder[last])] * draw(st.sampled_from([1, 1, 40]))
    return spec


class Server:
    """The schema of templates/crd.yaml.j2, served under another group."""

    def __init__(self, client: Client, group: str) -> None:
        self._client, self._group = client, group

    def refuses(self, spec: Any, metadata: Object | None = None, strict: bool = True) -> ApiError | Object:
        """What it says against the object, else the object as it would be stored. `strict`: a field that it does not know is an error."""
        body = {"apiVersion": f"{self._group}/v1alpha1", "kind": labels.KIND, "metadata": metadata or {"name": "asked"}, "spec": spec}
        path = f"/apis/{self._group}/v1alpha1/namespaces/default/{labels.PLURAL}?fieldValidation={'Strict' if strict else 'Ignore'}"
        try:
            return self._client.create(path, body, dry_run=True)
        except ApiError as error:
            assert error.status in (400, 422), error.message
            return error


@pytest.fixture(scope="module")
def server(kubeconfig: str) -> Iterator[Server]:
    client, group = from_kubeconfig(kubeconfig).client, f"fuzz-{uuid.uuid4().hex[:8]}.example.test"
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    body = render("crd")
    body["metadata"]["name"], body["spec"]["group"] = f"{labels.PLURAL}.{group}", group
    body["spec"]["names"].pop("shortNames")
    body["spec"]["names"].pop("categories")
    client.create(definitions, body)
    try:
        until("the kind is served", lambda: client.find(f"/apis/{group}/v1alpha1"))
        until("objects of it are taken", lambda: client.find(f"/apis/{group}/v1alpha1/namespaces/default/{labels.PLURAL}"))
        yield Server(client, group)
    finally:
        client.delete(f"{definitions}/{labels.PLURAL}.{group}")


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Object], Object | None]:
    """What the plugin makes of an object in a file; None when it says what is wrong with it. Any other exception is a failure."""
    file: Path = tmp_path_factory.mktemp("fuzzed") / "volumeresize.yaml"

    def loaded(manifest: Object) -> Object | None:
        file.write_text(yaml.safe_dump(manifest), encoding="utf-8")
        try:
            return load(str(file))
        except UsageError as error:
            assert error.message.startswith(f"{file}: ") and len(error.message) > len(f"{file}: ")
            assert len(error.message) < 3000, "a message that nobody reads"
            return None
    return loaded


def manifest_of(spec: Any, **metadata: Any) -> Object:
    return {"apiVersion": labels.API_VERSION, "kind": labels.KIND, "metadata": {"name": "asked", **metadata}, "spec": spec}


def test_file_schema_and_runner_agree_on_every_spec(server: Server, read: Callable[[Object], Object | None]) -> None:
    seen: Counter[str] = Counter()

    @given(spec=specs())
    @settings(max_examples=200, deadline=None, derandomize=True, database=None)
    def examine(spec: Any) -> None:
        stored, taken = server.refuses(spec, strict=False), read(manifest_of(copy.deepcopy(spec)))
        if not isinstance(stored, ApiError):
            # What GitOps may bring in, a runner can read.
            request = from_spec(stored["spec"])
            preflight.findings(running().cluster, request)
            seen["stored"] += 1
        if taken is not None:
            for sent in (spec, from_spec(taken["spec"]).to_spec()):
                answer = server.refuses(sent)
                assert not isinstance(answer, ApiError), f"the plugin takes {sent}, the server says {answer}"
            seen["taken"] += 1
        seen["refused by the server"] += isinstance(stored, ApiError)
        seen["refused by us alone"] += taken is None and not isinstance(stored, ApiError)

    examine()
    assert seen["taken"] > 40 and seen["refused by the server"] > 40, seen


def test_of_metadata_the_server_refuses_labels_and_annotations_alone(server: Server, read: Callable[[Object], Object | None]) -> None:
    """The server knows those best, and names the field; the VolumeResize's own name is checked by the plugin before anything is sent."""
    texts = names | st.text(max_size=4)
    maps = st.dictionaries(texts, junk | texts, max_size=3)
    fields = st.sampled_from(["namespace", "lables", "uid", "x", "name"])
    seen: Counter[str] = Counter()

    @given(labels_=maps | values, annotations=maps | values, others=st.dictionaries(fields, values, max_size=1))
    @settings(max_examples=200, deadline=None, derandomize=True, database=None)
    def examine(labels_: Any, annotations: Any, others: Object) -> None:
        taken = read(manifest_of(copy.deepcopy(RIGHT), labels=labels_, annotations=annotations, **others))
        if taken is None:
            return
        meta = taken["metadata"]
        answer = server.refuses(RIGHT, {"name": "asked", "labels": meta.get("labels") or {}, "annotations": meta.get("annotations") or {}})
        if isinstance(answer, ApiError):
            refused = {cause["field"] for cause in answer.body["details"]["causes"]}
            assert refused <= {"metadata.labels", "metadata.annotations"}, answer
        seen["refused" if isinstance(answer, ApiError) else "stored"] += 1

    examine()
    assert seen["stored"] and seen["refused"], seen


REFUSED_BY_SCHEMA: dict[str, tuple[Way, Any]] = {
    "a set's name in upper case": (("statefulSetName",), "Web"), "a set's name with a slash": (("statefulSetName",), "sts/web"),
    "a volume's name with a dot": (("volumes", 0, "name"), "data.old"), "a class that no name can be": (("volumes", 0, "storageClass"), "Fast SSD"),
    "a size of nothing": (("volumes", 0, "newSize"), "0Gi"), "a size below nothing": (("volumes", 0, "newSize"), -5),
    # No larger one, ever: without the rule's first question 1e999999999 keeps a core of the API server busy long after the request has timed out.
    "a size with an exponent of five digits": (("volumes", 0, "newSize"), "1e99999"), "a size without digits": (("volumes", 0, "newSize"), "Mi"),
    "a speed that is a word": (("copy", "bandwidth"), "fast"), "a speed of nothing": (("copy", "bandwidth"), "0"),
    "a code that no finding has": (("acknowledge", 0), "Owned Set"), "an image with a blank": (("mover", "image"), "volmig:1 --x"),
    "a limit that is a word": (("mover", "resources", "limits", "memory"), "much"), "limits that are a list": (("mover", "resources", "limits"), []),
    "a toleration's key that is a number": (("mover", "tolerations", 0, "key"), 5),
}


@pytest.mark.parametrize("what", REFUSED_BY_SCHEMA)
def test_what_could_never_be_carried_out_is_not_stored(server: Server, what: str) -> None:
    (*way, last), value = REFUSED_BY_SCHEMA[what]
    spec = copy.deepcopy(RIGHT)
    holder: Any = spec
    for key in way:
        holder = holder[key]
    holder[last] = value
    answer = server.refuses(spec)
    assert isinstance(answer, ApiError)
    assert str(way[0] if way else last) in answer.message


def test_what_is_unusual_and_possible_is_stored_and_read(server: Server) -> None:
    for change in ({"headRoomPercent": None}, {"copy": {"bandwidth": ""}}, {"statefulSetName": "a.b"}, {"acknowledge": []}, {"mover": None},
                   {"volumes": [{"name": "0", "newSize": "+1.5e0009", "storageClass": ""}]}):
        stored = server.refuses({**RIGHT, **change})
        assert not isinstance(stored, ApiError), stored
        assert from_spec(stored["spec"]).statefulset in ("web", "a.b")
