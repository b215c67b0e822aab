"""What a wheel promises: the library beside the modules with what it needs, one version, one OpenMP."""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import re
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
MAPPED = """
import torch, libortho._library as l
l.library()
print(l.version())
print(open("/proc/self/maps").read())
"""


@pytest.fixture(scope="module")
def wheel() -> importlib.metadata.Distribution:
    if "LIBORTHO_LIBRARY" in os.environ:
        pytest.skip("LIBORTHO_LIBRARY stands in for the wheel's library")
    return importlib.metadata.distribution("libortho")


@pytest.fixture(scope="module")
def mapped(wheel: importlib.metadata.Distribution) -> list[str]:
    """The version that libortho.so says it is, then the files that a process using it has mapped."""
    said = subprocess.run([sys.executable, "-c", MAPPED], capture_output=True, text=True, check=True)
    version, *maps = said.stdout.splitlines()
    return [version, *sorted({line.split()[5] for line in maps if "/" in line})]


def test_modules_are_the_installed_ones(wheel: importlib.metadata.Distribution) -> None:
    import libortho

    assert libortho.__file__ is not None
    installed = pathlib.Path(str(wheel.locate_file("libortho"))).resolve()
    assert pathlib.Path(libortho.__file__).resolve().parent == installed
    assert HERE.parent not in installed.parents


def test_serves_any_python3_and_carries_no_link(wheel: importlib.metadata.Distribution) -> None:
    tags = re.findall(r"^Tag: (.*)$", wheel.read_text("WHEEL") or "", re.M)
    assert len(tags) == 1 and re.fullmatch(r"py3-none-linux_\w+", tags[0])
    names = {str(file) for file in wheel.files or ()}
    assert {"libortho/libortho.so", "libortho/py.typed", "libortho/__init__.py"} <= names
    assert [name for name in names if name.startswith("libortho/libortho.so.")] == []
    assert [name for name in names if name.split("/")[0] not in
            ("libortho", f"libortho-{wheel.version}.dist-info")] == []


def test_version_is_the_library_s(wheel: importlib.metadata.Distribution, mapped: list[str]) -> None:
    assert wheel.version == mapped[0]


def test_library_finds_what_the_wheel_brought(wheel: importlib.metadata.Distribution,
                                              mapped: list[str]) -> None:
    brought = [file for file in wheel.files or () if re.fullmatch(r"lib\w+\.so[.\d]*", file.name)]
    assert len(brought) >= 1
    for file in brought:
        path = str(pathlib.Path(str(wheel.locate_file(file))).resolve())
        same = [other for other in mapped[1:] if pathlib.Path(other).name == file.name]
        assert same == [path]


def test_process_has_one_openmp(mapped: list[str]) -> None:
    """Two would have two pools of threads, which fight for the cores."""
    import torch

    found = [path for path in mapped[1:] if re.match(r"lib(g|i)?omp\d*[-.]", pathlib.Path(path).name)]
    if not list((pathlib.Path(torch.__file__).parent / "lib").glob("libgomp.so.1")):
        pytest.skip("this PyTorch brings OpenMP under a name of its own")
    assert len(found) == 1
