"""The documents' pictures are made by a script, and it still goes through the story."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import PAGES, ROOT
from tests.e2e.test_page import CHROMIUM

pytestmark = [
    pytest.mark.page,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: the page tests are left out"),
]


def test_every_picture_that_a_page_shows_is_made(tmp_path: Path) -> None:
    shown = {
        Path(target).name
        for page in PAGES
        for target in re.findall(r"!\[[^\]]+\]\(([^)]+\.png)\)", page.read_text(encoding="utf-8"))
    }
    command = [sys.executable, "-m", "docs.make.pictures", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, timeout=300, check=True)
    made = {each.name for each in tmp_path.glob("*.png")}
    assert shown == made == {each.name for each in (ROOT / "docs/pictures").glob("*.png")}
