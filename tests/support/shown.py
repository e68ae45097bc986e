"""The commands that a document shows to be typed: indented blocks, blocks fenced as bash, and what follows `$ ` in transcripts."""
from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = (ROOT / "README.md", ROOT / "docs" / "how-to.md", ROOT / "docs" / "tutorial.md")

_INDENT, _PROMPT = "    ", "$ "
_FENCE = re.compile(r"^ *```(\w*)")
_COMMENT = re.compile(r"(^|\s+)#\s.*$")


def commands(text: str) -> list[str]:
    """In their order, without comments; a loop is one command."""
    return [command for block in _blocks(text) for command in _whole(block)]


def yaml_blocks(text: str) -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def _blocks(text: str) -> Iterator[list[str]]:
    block: list[str] = []
    fence: str | None = None
    # What is indented below a line of text goes on with that, and is no block.
    may_begin = True
    for line in text.splitlines():
        if found := _FENCE.match(line):
            fence = found[1] if fence is None else None
            yield block
            block, may_begin = [], True
        elif fence == "bash":
            block.append(line)
        elif fence is not None:
            # Without a language, a transcript shows itself by its prompts.
            if line.startswith(_PROMPT) or (block and block[-1].endswith("\\")):
                block.append(line.removeprefix(_PROMPT))
        elif line.startswith(_INDENT) and may_begin:
            block.append(line.removeprefix(_INDENT))
        else:
            yield block
            block, may_begin = [], not line.strip()
    yield block


def _whole(lines: list[str]) -> Iterator[str]:
    """Raises ValueError for what bash does not understand."""
    begun: list[str] = []
    for line in lines:
        begun.append(_COMMENT.sub("", line))
        command = "\n".join(begun).strip()
        if command and not command.endswith("\\") and _understood(command):
            yield command
            begun = []
    if "".join(begun).strip():
        raise ValueError(f"bash does not understand: {' / '.join(begun)}")


def _understood(command: str) -> bool:
    return subprocess.run(["bash", "-n", "-c", command], capture_output=True).returncode == 0
