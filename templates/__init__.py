"""Every object that we create from nothing, as Jinja templates; rendered to dicts, never to text that somebody pastes together.

Values reach a template quoted by `|tojson` only; a value in YAML flow style is valid JSON and cannot break out. FunctionLoader over
importlib.resources and not PackageLoader, which fails for this mapped folder in an editable install.
"""
from __future__ import annotations

import importlib.resources
from functools import lru_cache
from typing import Any

import jinja2
import yaml


def _source(name: str) -> str | None:
    file = importlib.resources.files(__name__).joinpath(name)
    return file.read_text() if file.is_file() else None


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    return jinja2.Environment(loader=jinja2.FunctionLoader(_source), undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
                              autoescape=False)


def render(template: str, /, **values: Any) -> dict[str, Any]:
    """The object of `template` (without .yaml.j2). Raises jinja2.UndefinedError when a value is missing."""
    text = _environment().get_template(f"{template}.yaml.j2").render(**values)
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded
