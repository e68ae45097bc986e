"""`install`: what an admin does once: the CustomResourceDefinition, the roles and policies, and with -n what one namespace needs."""
from __future__ import annotations

import difflib
import time
from collections.abc import Callable
from dataclasses import dataclass

import click

from ...errors import ApiError, Conflict, Forbidden, NotFound, Refused, UsageError, VolresizeError
from ...kube import paths
from ...model import labels
from ...model.objects import View
from ...plan.rights import in_words
from ...version import VERSION
from .. import result
from ..options import Where, cluster_options, dry_run_option, output_option
from ..place import Place, connect
from ..result import Change, Changes, Object
from ..words import resource

CLUSTER_TEMPLATES = ("crd", "role-runner", "role-volumes", "role-user",
                     "policy-volumes", "policybinding-volumes", "policy-account", "policybinding-account")
NAMESPACE_TEMPLATES = ("serviceaccount", "rolebinding-runner", "clusterrolebinding-volumes")
DEFINITION = f"{labels.PLURAL}.{labels.GROUP}"
_ESTABLISHED_SECONDS = 60.0


class MissingRights(VolresizeError):
    """you may not create what is needed:
{message}"""

    hint = "an admin of the cluster runs once: {command}\nor gets the manifests to apply: {manifests}"


class NamespaceMissing(VolresizeError):
    """namespace {namespace} does not exist"""

    hint = "create it first: {command}"


class WouldLockOut(Refused):
    """nothing was applied: a policy would not admit the next runner of migrations that are not over:
{message}"""

    hint = "wait for their end, or say an image for their namespace that fits: kubectl volresize install -n NAMESPACE --image PREFIX"


class FieldsOfOthers(VolresizeError):
    """{message}"""

    hint = "somebody else manages these fields; to take them over: {command}"


class NotApplied(VolresizeError):
    """{message}"""

    hint = "what was applied before stays; the command can be run again"


class NotEstablished(VolresizeError):
    """the API server did not take up customresourcedefinition/{name} within {seconds} s: {message}"""

    hint = "look at it: {command}"


@dataclass(frozen=True)
class Installation:
    """What to apply and how. `namespace` None: the part of the whole cluster only. `image`: what the runner's image there must begin with; "" leaves
    what was said before."""

    namespace: str | None
    dry_run: str = "none"
    force: bool = False
    image: str = ""

    @property
    def manifests(self) -> tuple[Object, ...]:
        """In the order in which they can be applied."""
        from ...templates import render

        objects = [render(name) for name in CLUSTER_TEMPLATES]
        if self.namespace is not None:
            # First, and only when it is asked for: whoever installs again without --image must not take the prefix away.
            objects += [render("namespace", namespace=self.namespace, prefix=self.image)] if self.image else []
            objects += [render(name, namespace=self.namespace) for name in NAMESPACE_TEMPLATES]
        return tuple(objects)


@click.command("install", short_help="Install what migrations need: the VolumeResize kind, roles, policies, and one namespace's account")
@cluster_options
@click.option("--image", metavar="PREFIX", help="What the runner's image in this namespace must begin with, such as registry.example/volmig; "
              "stays until another is given  [default: mauricethomas/volmig]")
@click.option("--force-conflicts", is_flag=True, help="Take over fields that another field manager owns")
@dry_run_option
@output_option(result.TEXT, result.YAML, result.JSON, result.NAME)
def command(where: Where, image: str | None, force_conflicts: bool, dry_run: str, output: str) -> Changes:
    """Install what migrations need, once, as an admin

    Without -n: the VolumeResize kind, the roles and the admission policies, for the whole cluster. With -n also the service
    account and the bindings that migrations in this namespace need; run it again for every further namespace. Running it again
    changes nothing.

    \b
    kubectl volresize install -n my-namespace
    kubectl volresize install -n my-namespace --dry-run=client -o yaml | kubectl apply -f -
    """
    prefix = _prefix(where, image)
    wanted = Installation(where.namespace, dry_run, force_conflicts, prefix)
    if dry_run == "client":
        changes = tuple(Change(manifest, "created (dry run)") for manifest in wanted.manifests)
        return Changes(output=output, changes=changes)
    changes = install(connect(where), wanted)
    return Changes(output=output, changes=changes, next_steps=_next_steps(where, prefix) if dry_run == "none" else ())


def _prefix(where: Where, image: str | None) -> str:
    """Raises UsageError."""
    if image is None:
        return ""
    if where.namespace is None:
        raise UsageError("--image is for one namespace: name it with -n")
    prefix = image.strip().rstrip("/")
    if not prefix or any(character.isspace() for character in prefix):
        raise UsageError(f"--image {image!r} is no image, and no beginning of one")
    return prefix


def install(place: Place, wanted: Installation, pause: Callable[[float], None] = time.sleep) -> tuple[Change, ...]:
    """Applies everything and waits until the new kind is served.

    Raises MissingRights with all that was not allowed, NamespaceMissing, FieldsOfOthers, NotEstablished.
    """
    if wanted.namespace is not None:
        _must_exist(place, wanted.namespace)
    _locks_nobody_out(place, wanted)
    changes, forbidden = [], []
    for manifest in wanted.manifests:
        try:
            changes.append(_apply(place, manifest, wanted))
        except Forbidden as error:
            forbidden.append(f"  {resource(manifest)}: {_what_is_missing(error)}")
        except Conflict as error:
            raise FieldsOfOthers(f"{resource(manifest)}: {error.fields['message']}",
                                 command=_install_command(place.where, wanted, "--force-conflicts")) from error
        except ApiError as error:
            raise NotApplied(f"{resource(manifest)}: {error.fields['message'] or error.message}") from error
    if forbidden:
        manifests = _install_command(place.where, wanted, "--dry-run=client", "-o", "yaml")
        raise MissingRights("\n".join(forbidden), command=_install_command(place.where, wanted), manifests=manifests)
    if wanted.dry_run == "none":
        _wait_established(place, pause)
    return tuple(changes)


def _what_is_missing(error: Forbidden) -> str:
    """`cannot create resource ...`, without the user's full name on every line; an escalation lists all rules that he lacks, which is cut."""
    said = str(error.fields["message"])
    return "cannot " + said.partition(" cannot ")[2] if " cannot " in said else said[:300]


def _install_command(where: Where, wanted: Installation, *options: str) -> str:
    image = ("--image", wanted.image) if wanted.image else ()
    return where.command("install", *image, *options, namespace=wanted.namespace)


def _must_exist(place: Place, namespace: str) -> None:
    """Before anything is applied, so that a typo leaves nothing half done."""
    try:
        place.client.get(paths.namespaces(namespace))
    except NotFound as error:
        raise NamespaceMissing(namespace=namespace, command=place.where.kubectl("create", "namespace", namespace)) from error
    except Forbidden:
        # Whether it is there is then answered by the first object applied into it.
        return


def _locks_nobody_out(place: Place, wanted: Installation) -> None:
    """A held pod, or a set that is away, needs its next runner. Raises WouldLockOut."""
    try:
        found = place.client.list(paths.migrations(None))
    except (NotFound, Forbidden):
        # The first installation; or whoever may not look is told by the API server what he may not apply.
        return
    out = []
    for one in found:
        over = (one.get("status") or {}).get("phase") in labels.TERMINAL and labels.FINALIZER not in View(one).finalizers
        image = str((one["spec"].get("mover") or {}).get("image") or "")
        if image and not over and not any(_begins(image, prefix) for prefix in _prefixes(place, wanted, one["metadata"]["namespace"])):
            out.append(f"  volumeresize/{one['metadata']['name']} in namespace {one['metadata']['namespace']} runs {image}")
    if out:
        raise WouldLockOut("\n".join(out))


def _prefixes(place: Place, wanted: Installation, namespace: str) -> tuple[str, ...]:
    """As templates/policy-account.yaml.j2 has them."""
    if wanted.image and namespace == wanted.namespace:
        return (wanted.image,)
    said = View(place.client.find(paths.namespaces(namespace)) or {"metadata": {}}).annotations.get(labels.IMAGE_PREFIX)
    return (said,) if said else (labels.IMAGE_REPOSITORY, f"docker.io/{labels.IMAGE_REPOSITORY}")


def _begins(image: str, prefix: str) -> bool:
    """Up to the end of a word, and behind a colon stands a tag and no port: as in the policy."""
    rest = image.removeprefix(prefix)
    return image.startswith(prefix) and (rest[:1] in ("", "/", "@") or rest[0] == ":" and "/" not in rest)


def _apply(place: Place, manifest: Object, wanted: Installation) -> Change:
    path, dry = paths.of_object(manifest), wanted.dry_run == "server"
    before = place.client.find(path)
    after = place.client.apply(path, manifest, field_manager=labels.MANAGER, force=wanted.force, dry_run=dry)
    diff = _diff(before, after) if before is not None else ""
    done = "created" if before is None else "configured" if diff else "unchanged"
    return Change(after, f"{done} (server dry run)" if dry else done, diff)


def _diff(before: Object, after: Object) -> str:
    """What differs but for who manages which field, and what the server counts and observes; empty when nothing does."""
    import yaml

    def lines(obj: Object) -> list[str]:
        meta = {key: value for key, value in obj["metadata"].items() if key not in ("managedFields", "resourceVersion", "generation")}
        text: str = yaml.safe_dump({key: value for key, value in {**obj, "metadata": meta}.items() if key != "status"}, width=120)
        return text.splitlines()
    return "\n".join(list(difflib.unified_diff(lines(before), lines(after), lineterm="", n=2))[2:])


def _wait_established(place: Place, pause: Callable[[float], None]) -> None:
    """Until a VolumeResize can be created: a definition is served a moment after it was written."""
    waited, reason = 0.0, ""
    while waited < _ESTABLISHED_SECONDS:
        conditions = place.client.get(paths.definitions(DEFINITION)).get("status", {}).get("conditions") or []
        if any(condition["type"] == "Established" and condition["status"] == "True" for condition in conditions):
            return
        reason = "; ".join(condition["message"] for condition in conditions if condition["status"] == "False") or "no answer yet"
        pause(0.5)
        waited += 0.5
    raise NotEstablished(reason, name=DEFINITION, seconds=int(_ESTABLISHED_SECONDS),
                         command=place.where.kubectl("describe", "crd", DEFINITION))


def _granted(namespace: str) -> tuple[str, ...]:
    """Who may do what now, for whoever has to answer for it."""
    from ...templates import render

    inside, outside = (in_words(render(role)["rules"]) for role in ("role-runner", "role-volumes"))
    return (f"serviceaccount/{labels.RUNNER_ACCOUNT} may now", f"  in namespace {namespace}: {inside}",
            f"  in the cluster: {outside}; of the volumes only those of this namespace, by admission policy",
            "Whoever submits needs the built-in role `edit` in the namespace, and nothing else.")


def _next_steps(where: Where, prefix: str) -> tuple[str, ...]:
    if where.namespace is None:
        return ("This was the part of the whole cluster. For each namespace with migrations:",
                f"  {where.command('install', '-n', 'NAMESPACE')}")
    tagged = "@" in prefix or ":" in prefix.rpartition("/")[2]
    arguments = ("--image", prefix if tagged else f"{prefix}:{VERSION}") if prefix else ()
    return (*_granted(where.namespace), "",
            f"Namespace {where.namespace} is ready. Make a StatefulSet's volume smaller with:",
            f"  {where.command('submit', 'SET', '--volume', 'NAME=SIZE', *arguments, namespace=where.namespace)}")
