"""`version`: what runs here, and which image would run in the cluster."""
from __future__ import annotations

import os

import click

from ...version import VERSION
from .. import result
from ..image import image
from ..options import output_option


@click.command("version", short_help="Show the version of the plugin and the image that it uses")
@output_option(result.TEXT, result.JSON, result.YAML)
def command(output: str) -> result.VersionInfo:
    """Show the version of the plugin and the image that it uses"""
    chosen = image(None, None, os.environ)
    return result.VersionInfo(output=output, version=VERSION, image=chosen.name, image_from=chosen.source)
