"""A release can be made again by a stranger, bit by bit, and says what it is made of."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def wheel(clone: Path, umask: int) -> bytes:
    """The wheel that somebody makes in a clone of their own, with files of any age and mode."""
    subprocess.run(["git", "clone", "-q", ROOT, clone], check=True, umask=umask)
    for number, each in enumerate(sorted((clone / "bot").rglob("*.py"))):
        os.utime(each, (1e9 + number, 1e9 + number))
    (clone / "bot/left.py").write_text("x = 'of nobody'")  # not committed, so not in it
    env = {"PATH": os.environ["PATH"], "PYTHON": sys.executable, "HOME": str(clone)}
    script = ["sh", "deploy/wheel.sh", "out"]
    subprocess.run(script, cwd=clone, env=env, check=True, capture_output=True, umask=umask)
    (made,) = (clone / "out").glob("*.whl")
    return made.read_bytes()


@pytest.mark.slow
def test_two_people_who_build_it_get_the_same_wheel(tmp_path: Path) -> None:
    made = [wheel(tmp_path / "one", 0o022), wheel(tmp_path / "another" / "folder", 0o077)]
    first, second = (hashlib.sha256(each).hexdigest() for each in made)
    assert first == second
    with zipfile.ZipFile(io.BytesIO(made[0])) as opened:
        names = opened.namelist()
    assert "bot/cli.py" in names
    assert "bot/left.py" not in names
    assert any(each.startswith("deploy/sandbox/web/") for each in names)


def test_the_bill_of_materials_names_what_is_locked_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "sbom.json"
    tool = Path(sys.executable).with_name("cyclonedx-py")
    words = ["requirements", "--output-reproducible", "--of", "JSON", "--output-file", str(out)]
    lock = ROOT / "requirements-run.lock"
    subprocess.run([tool, *words, lock], check=True, capture_output=True)
    bill = json.loads(out.read_text())
    assert bill["bomFormat"] == "CycloneDX"
    named = {(each["name"], each["version"]) for each in bill["components"]}
    locked = set(re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)", lock.read_text(), re.MULTILINE))
    assert {name for name, _ in named} == {name for name, _ in locked}
    assert len(locked) > 30
