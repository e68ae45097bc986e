"""Where a verb works: an API server, a namespace, and how to name both in a command that we advise."""
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..model import names
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

    # It becomes a part of paths: one with a slash would ask for something else.
    if where.namespace and not names.is_label(where.namespace):
        raise UsageError(f"-n {where.namespace[:80]!r} is no name of a namespace: lower-case letters, digits and '-', at most 63 characters")
    connection = from_kubeconfig(where.kubeconfig, where.context)
    if where.request_timeout is not None:
        connection.client.give_up_after(where.request_timeout)
    return Place(connection.client, where.namespace or connection.namespace, where)
