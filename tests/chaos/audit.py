"""What runners wrote, as the API server's audit log has it: the log of hack/localcluster's, which is the only one that we can read."""
from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from faults import AUDIT_LOG

from kubectl_volresize.model import labels

_POD = "authentication.kubernetes.io/pod-name"
_WRITES = ("create", "update", "patch", "delete")


@dataclass(frozen=True)
class Write:
    """One that the API server carried out. `runner`: the pod that asked for it; `at`: RFC 3339, to the microsecond."""

    at: str
    runner: str
    verb: str
    resource: str
    name: str

    def __str__(self) -> str:
        return f"{self.at} {self.runner} {self.verb} {self.resource}/{self.name}"


def writes(namespace: str) -> list[Write]:
    """Those of the namespace's runners, in their order; what was refused, and what was only rehearsed, is left out."""
    account, found = f"system:serviceaccount:{namespace}:{labels.RUNNER_ACCOUNT}", []
    for line in AUDIT_LOG.read_text().splitlines():
        event = json.loads(line)
        if event["user"]["username"] != account or event["verb"] not in _WRITES or "dryRun=" in event["requestURI"]:
            continue
        if event["responseStatus"]["code"] < 400:
            about = event["objectRef"]
            resource = "/".join(filter(None, (about["resource"], about.get("subresource"))))
            found.append(Write(event["requestReceivedTimestamp"], event["user"]["extra"][_POD][0], event["verb"], resource, about.get("name", "")))
    return sorted(found, key=lambda one: one.at)


def twice(found: list[Write], verb: str, resource: str) -> dict[str, int]:
    """Names of objects to which that was done more than once."""
    return {name: times for name, times in Counter(one.name for one in found if (one.verb, one.resource) == (verb, resource)).items() if times > 1}


def late(found: list[Write]) -> list[Write]:
    """Writes to anything but the record by a runner that another one had followed: the record, not the Lease, is what fences."""
    strays, holder, followed = [], "", set()
    for one in found:
        if one.resource == "volumeresizes/status" and one.runner != holder:
            followed.add(holder)
            followed.discard(one.runner)
            holder = one.runner
        elif one.runner in followed and one.resource not in ("leases", "events"):
            strays.append(one)
    return strays
