"""A copy of the record that does not go with the VolumeResize: text for an annotation of the Lease, from which a VolumeResize that was deleted by
force is written again. To be read by hand: base64 -d | gunzip."""
from __future__ import annotations

import base64
import gzip
import json
import zlib
from dataclasses import dataclass, replace

from .record import Object, Record, from_status

# The API server takes 256 KiB of annotations in all (apimachinery pkg/api/validation/objectmeta.go, TotalAnnotationSizeLimitB).
LONGEST = 250 * 1024
_LARGEST = 16 * 1024 * 1024  # bytes unpacked; a VolumeResize itself cannot be that large
_GZIP = 31                   # zlib's wbits for a gzip header


@dataclass(frozen=True)
class Kept:
    """`name` and `spec` of the VolumeResize, and its record as it stood before the last step was carried out."""

    name: str
    spec: Object
    record: Record


def pack(kept: Kept) -> str:
    """The same text for the same record, whichever runner writes it."""
    whole = {"name": kept.name, "spec": kept.spec, "status": replace(kept.record, runner="").to_status()}
    text = json.dumps(whole, separators=(",", ":"), sort_keys=True)
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def unpack(text: str) -> Kept | None:
    """None for what cannot be read; it is an annotation, which anybody may write."""
    unpacking = zlib.decompressobj(_GZIP)
    try:
        raw = json.loads(unpacking.decompress(base64.b64decode(text, validate=True), _LARGEST))
        if not unpacking.eof:
            # Only at its end its checksum was seen to be right.
            return None
        return Kept(str(raw["name"]), dict(raw["spec"]), from_status(dict(raw["status"])))
    except (ValueError, KeyError, TypeError, zlib.error):
        return None
