"""The programs that are compared, each as the command that a person would use to copy a volume as exactly as it can."""
from __future__ import annotations

import shutil
import sys
from pathlib import Path

RSYNC, CP, TAR, RCLONE, FLOOR = "rsync -aHAXS --numeric-ids", "cp -a", "tar to tar", "rclone copy", "floor: read and write"
OURS, OURS_HASHED = "mover --verify metadata", "mover (reads both sides again)"
_RCLONE = ("copy", "--links", "--metadata", "--create-empty-src-dirs", "--local-encoding", "Raw", "--no-unicode-normalization", "--inplace",
           "--config", "/dev/null", "--transfers", "4", "--checkers", "8")


def command(tool: str, source: Path, dest: Path, report: Path) -> list[str]:
    mover = [sys.executable, "-m", "kubectl_volresize.mover", str(source), str(dest), "--no-progress", "--report", str(report)]
    rclone = shutil.which("rclone", path=str(Path(sys.executable).parent)) or "rclone"
    return {
        RSYNC: ["rsync", "-aHAXS", "--numeric-ids", "--delete", f"{source}/", f"{dest}/"],
        CP: ["cp", "-a", f"{source}/.", f"{dest}/"],
        TAR: ["bash", "-c", f"set -o pipefail; tar -C {source} --xattrs --acls -S -cf - . | tar -C {dest} --xattrs --acls -xpf -"],
        # Never as root on what somebody else wrote, unless it is new: older ones follow links (CVE-2024-52522). These trees have none.
        RCLONE: [rclone, *_RCLONE, str(source), str(dest)],
        FLOOR: [sys.executable, str(Path(__file__).parent / "floor.py"), str(source), str(dest / "floor")],
        OURS: [*mover, "--verify", "metadata"],
        OURS_HASHED: mover,
    }[tool]
