"""Where a verb works: an API server, a namespace, and how to name both in a command that we advise."""
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .options import Where

if TYPE_CHECKING:
    from ..kube.client import Client


@dataclass(frozen=True)
class Place:
    client: Client
    namespace: str
    where: Where

    def command(self, verb: str, *arguments: str) -> str:
        return self.where.command(verb, *arguments, namespace=self.namespace)

    def kubectl(self, *arguments: str) -> str:
        return self.where.kubectl(*arguments, namespace=self.namespace)


def connect(where: Where) -> Place:
    """Raises NoCluster, UsageError. Nothing is asked of the API server yet."""
    # 0.3-0.5 s and 60 MB, which --help and completion of options must not pay.
    from ..kube.auth import from_kubeconfig

    connection = from_kubeconfig(where.kubeconfig, where.context)
    return Place(connection.client, where.namespace or connection.namespace, where)
