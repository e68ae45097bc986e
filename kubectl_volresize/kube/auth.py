"""From a kubeconfig or a pod's service account to a requests.Session. The only place that imports `kubernetes`, and only inside a function: that
costs 0.3-0.5 s, which `--help` and completion must not pay."""
from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from ..errors import UsageError, VolresizeError
from ..version import VERSION
from .client import Client


class NoCluster(VolresizeError):
    """no cluster to talk to: {message}"""

    hint = "set KUBECONFIG, or name one with --kubeconfig and --context"


@dataclass(frozen=True)
class Connection:
    """A client and the namespace that its context names."""

    client: Client
    namespace: str


class _ConfigurationAuth(AuthBase):
    """Header of the loaded configuration, asked anew for each request: bearer tokens expire and are re-read by the configuration's refresh hook.

    That hook knows only what the token said of its life. One that is refused (401: revoked, replaced, a clock that is wrong) is loaded once more
    from where it came, and the request is sent once more: it was not carried out, since authentication comes first.
    """

    def __init__(self, configuration: Any, load: Callable[[], None]) -> None:
        self._configuration, self._load = configuration, load

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        self._authorize(request)
        request.register_hook("response", self._once_more)  # type: ignore[no-untyped-call]
        return request

    def _authorize(self, request: requests.PreparedRequest) -> None:
        for setting in self._configuration.auth_settings().values():
            if setting["in"] == "header" and setting["value"]:
                request.headers[setting["key"]] = setting["value"]

    def _once_more(self, response: requests.Response, **kwargs: Any) -> requests.Response:
        if response.status_code != requests.codes.unauthorized:
            return response
        self._load()
        again = response.request.copy()
        before = again.headers.get("Authorization")
        self._authorize(again)
        if again.headers.get("Authorization") == before:
            return response
        # The connection is free for the next request only when the answer was read.
        _ = response.content
        response.close()
        # Of the adapter, and not of the session: that would call this hook for its answer too, for ever.
        sent: requests.Response = response.connection.send(again, **kwargs)
        sent.request, sent.history = again, [*sent.history, response]
        return sent


class _TlsNameAdapter(HTTPAdapter):
    """Verifies the server's certificate against the kubeconfig's tls-server-name and not against the host of the URL."""

    def __init__(self, name: str) -> None:
        self._name = name
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, server_hostname=self._name, assert_hostname=self._name)


def _session(configuration: Any, load: Callable[[], None]) -> requests.Session:
    session = requests.Session()
    # REQUESTS_CA_BUNDLE and proxies of the environment would silently override the kubeconfig's own CA (seen: CERTIFICATE_VERIFY_FAILED).
    session.trust_env = False
    session.verify = (configuration.ssl_ca_cert or True) if configuration.verify_ssl else False
    if configuration.cert_file:
        session.cert = (configuration.cert_file, configuration.key_file)
    if configuration.proxy:
        session.proxies = {"http": configuration.proxy, "https": configuration.proxy}
    if getattr(configuration, "tls_server_name", None):
        session.mount("https://", _TlsNameAdapter(configuration.tls_server_name))
    session.auth = _ConfigurationAuth(configuration, load)
    session.headers["User-Agent"] = f"kubectl-volresize/v{VERSION}"
    return session


def from_kubeconfig(kubeconfig: str | None = None, context: str | None = None) -> Connection:
    """As kubectl: --kubeconfig, else KUBECONFIG (also a list), else ~/.kube/config; the context's namespace, else `default`.

    Raises NoCluster, UsageError.
    """
    import yaml
    from kubernetes import config
    from kubernetes.client import Configuration

    configuration = Configuration()
    # Asked for here, since the client reads the variable once, when it is imported.
    file = kubeconfig or os.environ.get("KUBECONFIG") or None
    try:
        contexts, active = config.list_kube_config_contexts(config_file=file)
        if context is not None:
            named = [entry for entry in contexts if entry["name"] == context]
            if not named:
                raise UsageError(f"context {context!r} does not exist in the kubeconfig; it has: {', '.join(entry['name'] for entry in contexts)}")
            active = named[0]
        config.load_kube_config(config_file=file, context=context, client_configuration=configuration)
    except (config.ConfigException, OSError) as error:
        raise NoCluster(_what_is_wrong_with(file, error)) from error
    except (yaml.YAMLError, TypeError, AttributeError, KeyError, ValueError) as error:
        # What the loader stumbles over in a file that is something else; ValueError: no text, or no base64 where some must be.
        raise NoCluster("the kubeconfig is no kubeconfig: " + str(error).replace("\n", " ")) from error
    namespace = active["context"].get("namespace") or "default"

    def load_again() -> None:
        try:
            config.load_kube_config(config_file=file, context=context, client_configuration=configuration)
        except (config.ConfigException, OSError) as error:
            raise NoCluster(f"the credentials were refused and could not be loaded again: {error}") from error

    return Connection(Client(_session(configuration, load_again), configuration.host), namespace)


def _what_is_wrong_with(file: str | None, error: Exception) -> str:
    """A file that is not there or not readable, by its name: the loader says of either that there is no configuration."""
    if isinstance(error, OSError) and error.filename:
        return f"kubeconfig {error.filename}: {error.strerror}"
    missing = [one for one in (file or "~/.kube/config").split(os.pathsep) if one and not os.path.exists(os.path.expanduser(one))]
    return f"kubeconfig {', '.join(missing)} does not exist" if missing else str(error)


def in_cluster() -> Client:
    """With the service account of this pod; the token is re-read from disk when it is a minute old, and when it is refused.

    Raises NoCluster outside a pod.
    """
    from kubernetes import config
    from kubernetes.client import Configuration

    configuration = Configuration()

    def load() -> None:
        try:
            config.load_incluster_config(client_configuration=configuration)
        except (config.ConfigException, OSError) as error:
            raise NoCluster(str(error)) from error

    load()
    return Client(_session(configuration, load), configuration.host)
