"""The quota controller: what is deleted is given back a little later. Source: pkg/controller/resourcequota."""
from __future__ import annotations

from ..policies import used
from ..store import Object
from ..world import World


class Quotas:
    name = "quota"

    def __init__(self, world: World) -> None:
        self._store, self._rest = world.store, world.rest

    def step(self) -> bool:
        return any(self._count(quota) for quota in self._store.all("resourcequotas"))

    def _count(self, quota: Object) -> bool:
        hard = quota["spec"].get("hard") or {}
        status = {"hard": hard, "used": used(self._store, quota["metadata"]["namespace"], hard)}
        if quota.get("status") == status:
            return False
        self._rest.change("resourcequotas", quota, lambda new: new.update(status=status), status=True)
        return True
