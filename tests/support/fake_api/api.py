"""FakeApi: requests in, answers out, and when the controllers get to act. The rules of a write stand in rest.py, what controllers do in
controllers/."""
from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import requests
import responses

from kubectl_volresize.kube.client import Client

from . import door, reads
from .controllers import all_of
from .controllers.volumes import Binder
from .eviction import evict
from .guard import Guard
from .refusal import Refusal, bad_request, forbidden, no_such_resource, not_found
from .resources import RESOURCES, Target, parse
from .rest import Rest
from .store import Object, Store
from .world import World, terminating

SERVER = "https://cluster.example"
EAGER, LAZY, RANDOM = "eager", "lazy", "random"
_ENDLESS = 20_000  # steps of controllers without coming to rest


class Call(NamedTuple):
    """One request: `path` with `?dryRun=All` when it was a dry run, without other parameters; `status` is the HTTP code, 0 when a hook raised."""

    verb: str
    path: str
    body: Any
    status: int


Hook = Callable[[int, str, str], Refusal | None]
Answer = tuple[int, dict[str, str], str]


class FakeApi(World):
    """A cluster.

    `mode` says when controllers act: EAGER, all to rest before each call; RANDOM, some of them some steps before each call, drawn from `seed`;
    LAZY, only while the client waits (`sleep`, or a watch without news). Applications write before every call in all modes.

    `before_call` and `after_call` are called with (number, verb, path), number from 1. What they raise reaches the caller, as a crash would;
    a Refusal that they return is the answer. After the call means that what was asked is done.
    """

    def __init__(self, seed: int = 0, mode: str = EAGER) -> None:
        super().__init__(seed)
        self.mode = mode
        # As measured: the binder often loses its race on a claim, and then waits for 15 s unless the claim changes.
        self.faults.sluggish_binder = mode == RANDOM
        self.controllers = all_of(self)
        self.before_call: list[Hook] = []
        self.after_call: list[Hook] = []
        self.calls: list[Call] = []
        self.denied: set[tuple[str, str]] = set()  # (verb, plural or plural/subresource) that RBAC does not allow
        self.oldest_version = 0                    # a watch from before this is too old
        self.guard: Guard | None = None            # judges every write of a client
        self.seen_at: int | None = None            # the version of the store that reads are answered from, None for now
        self._lock = threading.RLock()
        self._rested: tuple[Any, ...] = ()

    # -- clients

    def install(self, mock: responses.RequestsMock) -> Client:
        """Answer all requests to SERVER through this mock; a client for them, whose pauses cost nothing."""
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            mock.add_callback(method, re.compile(re.escape(SERVER) + "/.*"), callback=self._answer)
        session = requests.Session()
        session.trust_env = False  # as kube.auth has it, and asking the environment at each call takes a fifth of the time
        return Client(session, SERVER, pause=lambda seconds: None)

    @contextmanager
    def connected(self) -> Iterator[Client]:
        """A client while the block lasts, for tests without a mock of their own."""
        with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
            yield self.install(mock)

    @contextmanager
    def directly_connected(self) -> Iterator[Client]:
        """The same without a mock of the HTTP library, at half the cost, and with pauses that take (the cluster's) time: for very many runs."""
        yield Client(door.Session(self.answer), SERVER, pause=self.sleep)

    # -- time

    def settle(self) -> None:
        """Let all controllers act until nothing is left to do. Raises AssertionError when they never come to rest."""
        for controller in self.controllers:
            if isinstance(controller, Binder):
                controller.resync()
        self._rested = ()
        self._come_to_rest()

    def _come_to_rest(self) -> None:
        with self._lock:
            for _ in range(_ENDLESS):
                if self._at_rest() or not any(controller.step() for controller in self._running()):
                    self._rested = self._seen_by_controllers()
                    return
        raise AssertionError(f"the controllers do not come to rest; last writes: {[event.key for event in self.store.history[-12:]]}")

    def sleep(self, seconds: float) -> None:
        """Time passes for the client: a pause for engines and loops under test."""
        with self._lock:
            self.clock.advance(seconds)
            self.applications_write()
            if self.mode == EAGER:
                self._come_to_rest()
            elif self.mode == RANDOM:
                self._some_steps()
            else:
                for controller in self._running():
                    controller.step()

    def _running(self) -> list[Any]:
        return [controller for controller in self.controllers if controller.name not in self.faults.stopped]

    def _seen_by_controllers(self) -> tuple[Any, ...]:
        return self.store.version, self.clock.now, len(self.processes), repr(self.faults)

    def _at_rest(self) -> bool:
        """Whether nothing happened since no controller had anything to do; looking again would cost more than all the rest of a call."""
        return self._rested == self._seen_by_controllers()

    def _some_steps(self) -> None:
        running = self._running()
        for controller in self.random.sample(running, len(running)):
            for _ in range(self.random.choice((0, 0, 1, 2, 5))):
                if not controller.step():
                    break

    # -- requests

    def _answer(self, request: requests.PreparedRequest) -> Answer:
        split = urlsplit(str(request.url))
        content_type = str(request.headers.get("Content-Type", ""))
        return self.answer(str(request.method), split.path, dict(parse_qsl(split.query)), content_type, request.body)

    def answer(self, method: str, path: str, params: dict[str, str], content_type: str, data: str | bytes | None) -> Answer:
        """Code, headers and text of the answer to one request. Raises what a hook raises."""
        body = json.loads(data) if data else None
        verb = _verb(method, path, params, content_type)
        dry_run = params.get("dryRun") == "All"
        told = path + ("?dryRun=All" if dry_run else "")
        with self._lock:
            number = len(self.calls) + 1
            self.calls.append(Call(verb, told, body, 0))
            code, headers, text = self._hooked(number, verb, told, lambda: self._carry_out(verb, path, params, content_type, body, dry_run))
            self.calls[number - 1] = Call(verb, told, body, code)
            return code, headers, text

    def _hooked(self, number: int, verb: str, path: str, carry_out: Callable[[], tuple[int, str]]) -> Answer:
        try:
            for hook in self.before_call:
                if refusal := hook(number, verb, path):
                    raise refusal
            self._let_others_act()
            code, text = carry_out()
            for hook in self.after_call:
                if refusal := hook(number, verb, path):
                    raise refusal
        except Refusal as refusal:
            headers = {"Content-Type": "application/json"}
            if refusal.retry_after is not None:
                headers["Retry-After"] = str(refusal.retry_after)
            return refusal.code, headers, json.dumps(refusal.status())
        return code, {"Content-Type": "application/json"}, text

    def _let_others_act(self) -> None:
        self.applications_write()
        if self.mode == EAGER:
            self._come_to_rest()
        elif self.mode == RANDOM:
            self._some_steps()

    def _carry_out(self, verb: str, path: str, params: dict[str, str], content_type: str, body: Any, dry_run: bool) -> tuple[int, str]:
        if special := self._without_objects(path, body):
            return special
        target = parse(path)
        self._check_right(verb, target)
        if verb == "log":
            return 200, self._log(target, params)
        if verb == "watch":
            return 200, self._watch(target, params)
        if verb == "list":
            return 200, json.dumps(reads.page(self._seen(), target, params))
        if verb == "evict":
            dry = dry_run or (body.get("deleteOptions") or {}).get("dryRun") == ["All"]
            return 201, self._judged(verb, target, body, dry, lambda: evict(self.rest, target, body, dry_run))
        return self._object(verb, target, params, content_type, body, dry_run)

    def _seen(self) -> Store:
        return self.store if self.seen_at is None else self.store.at(self.seen_at)

    def _judged(self, verb: str, target: Target, body: Any, dry_run: bool, write: Callable[[], Any]) -> str:
        return json.dumps(write() if self.guard is None or dry_run else self.guard.watch(verb, target, body, write))

    def _object(self, verb: str, target: Target, params: dict[str, str], content_type: str, body: Any, dry_run: bool) -> tuple[int, str]:
        manager = params.get("fieldManager", "fake")
        if target.sub not in ("", "status") or (target.sub == "status" and not target.resource.status):
            raise no_such_resource()
        if verb == "get":
            return 200, json.dumps(Rest(self._seen()).get(target))
        writes: dict[str, Callable[[], Any]] = {
            "create": lambda: self.rest.create(target, body, manager, dry_run), "replace": lambda: self.rest.replace(target, body, manager, dry_run),
            "patch": lambda: self.rest.patch(target, content_type, body, manager, dry_run, params.get("force") == "true"),
            "delete": lambda: self.rest.delete(target, body, dry_run)}
        return 201 if verb == "create" else 200, self._judged(verb, target, body, dry_run, writes["patch" if verb == "apply" else verb])

    def _without_objects(self, path: str, body: Any) -> tuple[int, str] | None:
        if path == "/version":
            return 200, json.dumps({"major": "1", "minor": "34", "gitVersion": "v1.34.4"})
        if path == "/readyz":
            return 200, json.dumps("ok")
        if path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews":
            asked = body["spec"].get("resourceAttributes") or {}
            what = "/".join(filter(None, (asked.get("resource", ""), asked.get("subresource", ""))))
            allowed = (asked.get("verb", ""), what) not in self.denied
            return 201, json.dumps({**body, "status": {"allowed": allowed, "reason": "" if allowed else "denied in this test"}})
        if path == "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews":
            # Whoever is denied something is told nothing, and has to ask for each right.
            rules = [] if self.denied else [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
            return 201, json.dumps({**body, "status": {"resourceRules": rules, "nonResourceRules": [], "incomplete": bool(self.denied)}})
        inside = [resource for resource in RESOURCES if resource.prefix == path]
        if inside:
            listed = [{"name": one.plural, "kind": one.kind, "namespaced": one.namespaced, "singularName": "", "verbs": []} for one in inside]
            return 200, json.dumps({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": inside[0].api_version, "resources": listed})
        return None

    def _check_right(self, verb: str, target: Target) -> None:
        words = {"replace": "update", "apply": "patch", "evict": "create", "log": "get"}
        right = (words.get(verb, verb), "/".join(filter(None, (target.resource.plural, target.sub))))
        if right in self.denied:
            raise forbidden(f'{target.resource.qualified} "{target.name}" is forbidden: User "tester" cannot {right[0]} resource "{right[1]}" '
                            f'in API group "{target.resource.group}"')
        if target.resource.group.endswith("maurice.fr") and self.store.find("customresourcedefinitions", "", target.resource.qualified) is None:
            raise no_such_resource()

    # -- streams

    def _log(self, target: Target, params: dict[str, str]) -> str:
        pod = self.store.find("pods", target.namespace, target.name)
        if pod is None:
            raise not_found("pods", target.name)
        if not pod["spec"].get("nodeName"):
            return ""
        if "containerStatuses" not in pod["status"]:
            raise bad_request(f'container "{pod["spec"]["containers"][0]["name"]}" in pod "{target.name}" is waiting to start: ContainerCreating')
        uid = pod["metadata"]["uid"]
        if params.get("follow") == "true":
            self._pass_time_while(lambda: uid in self.processes)
        found = self.logs.get(uid, [])
        return "".join(line + "\n" for line in found[-int(params.get("tailLines", len(found) or 1)):])

    def _watch(self, target: Target, params: dict[str, str]) -> str:
        self._pass_time_while(lambda: not reads.events(self.store, target, params, self.oldest_version))
        found = reads.events(self.store, target, params, self.oldest_version)
        return reads.lines([*found, reads.bookmark(self.store, target.resource)])

    def _pass_time_while(self, waiting: Callable[[], bool]) -> None:
        """A stream is open: the cluster lives on meanwhile. Ends when nothing more happens."""
        while waiting():
            before = (self.store.version, sum(len(lines) for lines in self.logs.values()))
            self.sleep(1)
            if self.mode == LAZY and not any(controller.step() for controller in self._running()):
                return
            if self.mode != LAZY and before == (self.store.version, sum(len(lines) for lines in self.logs.values())):
                return

    # -- what a test asks about

    def find(self, plural: str, namespace: str, name: str) -> Object | None:
        """An object as it is stored; not to be changed."""
        return self.store.find(plural, namespace, name)

    def data_of_claim(self, namespace: str, name: str) -> list[str]:
        """What is on the volume that the claim is Bound to; nothing when it is not Bound."""
        claim = self.store.find("persistentvolumeclaims", namespace, name)
        volume = self.volume_of(claim) if claim is not None else None
        return list(self.disks.get(volume["metadata"]["name"], [])) if volume is not None else []

    def lost_bytes(self) -> dict[str, list[str]]:
        """By claim name, what its application wrote and is not on the volume of the claim now; empty when no byte is lost."""
        missing = {}
        for (namespace, name), tokens in self.written.items():
            present = set(self.data_of_claim(namespace, name))
            if gone := [token for token in tokens if token not in present]:
                missing[name] = gone
        return missing

    def alive(self, plural: str, namespace: str) -> list[str]:
        """Names of the objects that nobody has deleted."""
        return [obj["metadata"]["name"] for obj in self.store.all(plural, namespace) if not terminating(obj)]


def _verb(method: str, path: str, params: dict[str, str], content_type: str) -> str:
    if method == "GET":
        if params.get("watch") == "true":
            return "watch"
        if path.endswith("/log"):
            return "log"
        return "list" if _names_a_list(path) else "get"
    if method == "POST":
        return "evict" if path.endswith("/eviction") else "create"
    if method == "PATCH":
        return "apply" if "apply-patch" in content_type else "patch"
    return {"PUT": "replace", "DELETE": "delete"}[method]


def _names_a_list(path: str) -> bool:
    try:
        return not parse(path).name
    except Refusal:
        return False
