"""The rules that a machine can check, as tests, so that nobody can forget to run them. Each tool reads its own section of setup.cfg."""
from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

TOOLS = {
    "flake8": [sys.executable, "-m", "flake8"],
    "mypy": [sys.executable, "-m", "mypy"],
    # No `python -m` for this one; its program stands beside the interpreter of the same environment.
    "lint-imports": [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
}


@pytest.mark.parametrize("tool", TOOLS)
def test_clean(tool: str) -> None:
    done = subprocess.run(TOOLS[tool], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def _imported(file: Path) -> set[str]:
    """Every module name in the import statements of `file`, relative ones as written after their dots, `from a import b` as a and a.b."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module or ""} | {".".join(filter(None, (node.module, alias.name))) for alias in node.names}
    return names


def test_the_mover_renders_nothing() -> None:
    # import-linter cannot say it: it scans the package's folder, and the templates are mapped into the package from elsewhere.
    guilty = [file.name for file in (ROOT / "kubectl_volresize" / "mover").rglob("*.py")
              if any("templates" in name.split(".") for name in _imported(file))]
    assert not guilty
