"""What pip would hand to a user: the wheel, its templates and entry points, the editable install, and how little `--help` imports.
What the code does is tested in the rooms' own folders."""
from __future__ import annotations

import configparser
import importlib.util
import os
import shutil
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import jinja2
import markupsafe
import pytest
import yaml

from kubectl_volresize.version import VERSION

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("kubectl_volresize", "templates", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")


def _pip(*arguments: str | Path) -> None:
    # PIP_NO_INDEX: a test that needs the network would prove something about the network.
    done = subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)], capture_output=True, text=True,
                          env=os.environ | {"PIP_NO_INDEX": "1"})
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is packaged: building in the checkout would leave build/ behind, and pick up an old one."""
    copy = tmp_path_factory.mktemp("tree")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def wheel_file(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    _pip("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", out, tree)
    (built,) = out.glob("kubectl_volresize-*.whl")
    return built


@pytest.fixture(scope="module")
def wheel(wheel_file: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(wheel_file)


def test_every_template_travels_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    templates = {f"kubectl_volresize/templates/{path.name}" for path in (ROOT / "templates").glob("*.j2")}
    assert templates and templates <= set(wheel.namelist())


def test_every_module_travels_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    # A new subpackage that setup.cfg does not name works in the checkout and is missing for everybody else.
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "kubectl_volresize").rglob("*.py")}
    assert not modules - set(wheel.namelist())


def test_the_licence_travels_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    assert [name for name in wheel.namelist() if name.endswith("LICENSE")]


def test_kubectl_finds_the_plugin_and_its_completion(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    parser = configparser.ConfigParser()
    parser.read_string(wheel.read(name).decode())
    assert set(parser["console_scripts"]) == {"kubectl-volresize", "kubectl_complete-volresize"}


def test_an_editable_install_renders_templates(tree: Path, tmp_path: Path) -> None:
    # The templates lie outside the package's folder; an editable install maps them, and a loader that reads paths would not find them.
    _pip("install", "--quiet", "--no-deps", "--no-build-isolation", "--target", tmp_path, "--editable", tree)
    program = textwrap.dedent("""
        import site, sys
        site.addsitedir(sys.argv[1])
        sys.path += sys.argv[2:]
        import kubectl_volresize.templates as templates
        print(templates.__file__)
        print(templates.render("serviceaccount", namespace="n")["kind"])
    """)
    # -S: without the site-packages in which this very checkout may be installed; the dependencies are put behind.
    dependencies = {str(Path(str(module.__file__)).parents[1]) for module in (jinja2, markupsafe, yaml)}
    done = subprocess.run([sys.executable, "-S", "-c", program, str(tmp_path), *dependencies], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    file, kind = done.stdout.splitlines()
    assert kind == "ServiceAccount"
    assert Path(file).is_relative_to(tree), "another installation was tested"


@pytest.fixture(scope="module")
def sdist_file(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sdist")
    subprocess.run([sys.executable, "-c", "import sys, setuptools.build_meta as backend; backend.build_sdist(sys.argv[1])", out], check=True,
                   capture_output=True, cwd=tree)
    (built,) = out.glob("*.tar.gz")
    return built


@pytest.mark.parametrize("what", ["wheel_file", "sdist_file"])
def test_what_is_handed_out_runs_in_an_environment_of_its_own(what: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    # The dependencies of this environment, in place of an index. Its editable install of the checkout is none there: only a site's own .pth count.
    (site,) = venv.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(str(Path(yaml.__file__).parents[1]))
    # Not --no-deps: what setup.cfg asks for must be what we test with.
    _pip("--python", venv / "bin" / "python", "install", "--quiet", "--no-build-isolation", request.getfixturevalue(what))
    assert (venv / "bin" / "kubectl_complete-volresize").exists()
    # Which needs the templates too.
    installs = [venv / "bin" / "kubectl-volresize", "install", "-n", "n", "--dry-run=client", "-o", "name"]
    done = subprocess.run(installs, capture_output=True, text=True, cwd=tmp_path, env={"HOME": str(tmp_path)})
    assert "customresourcedefinition" in done.stdout, done.stderr
    shown = subprocess.run([installs[0], "version"], capture_output=True, text=True, cwd=tmp_path)
    assert shown.stdout.startswith(f"kubectl-volresize v{VERSION}\n"), shown.stderr
    where = subprocess.run([venv / "bin" / "python", "-c", "import kubectl_volresize; print(kubectl_volresize.__file__)"], check=True,
                           capture_output=True, text=True, cwd=tmp_path)
    assert Path(where.stdout).is_relative_to(venv), "another installation was tested"


def test_help_and_completion_do_not_pay_for_the_kubernetes_client() -> None:
    assert importlib.util.find_spec("kubectl_volresize.plugin.cli"), "kubectl_volresize/plugin/cli.py is not there yet"
    program = "import sys, kubectl_volresize.plugin.cli; print([name for name in ('kubernetes', 'requests', 'urllib3') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
