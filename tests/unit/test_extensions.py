"""Parts of other packages: looked for only when needed, loaded once, never in the place of ours, never a crash."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tts_compare.extensions import Extensions

GROUP = "tts_compare.examples"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution that registers a value, a class, a name of ours, a misnomer, and what exits when imported."""
    (tmp_path / "far_away.py").write_text("VALUE = 2\nclass Part:\n    name = 'part'\n")
    (tmp_path / "far_exit.py").write_text("import sys\nsys.exit('no GPU\\nhere')\n")
    info = tmp_path / "far_away-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: far-away\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[{GROUP}]\nvalue = far_away:VALUE\npart = far_away:Part\none = far_away:VALUE\nother = far_away:Part\n"
        "leaves = far_exit:X\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    for module in ("far_away", "far_exit"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return tmp_path


def test_ours_are_found_without_a_look_at_other_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tts_compare.extensions.entry_points", lambda **_: pytest.fail("looked"))
    assert Extensions(GROUP, {"one": 1})["one"] == 1
    assert "one" in Extensions(GROUP, {"one": 1})


def test_what_loads_is_among_the_names_and_a_class_is_an_instance(package: Path) -> None:
    parts: Extensions[object] = Extensions(GROUP, {"one": 1})
    assert list(parts) == ["one", "value", "part"]
    assert (parts["one"], parts["value"], type(parts["part"]).__name__, len(parts)) == (1, 2, "Part", 3)
    assert parts["part"] is parts["part"]


def test_what_does_not_load_is_no_part_and_its_reason_is_one_line(package: Path) -> None:
    parts: Extensions[object] = Extensions(GROUP, {"one": 1})
    for name in ("leaves", "other", "nowhere"):
        assert name not in parts
        assert parts.get(name) is None
    assert parts.failures() == {
        "far-away: one": "ValueError: the name is taken by tts-compare itself",
        "far-away: other": "ValueError: it calls itself 'part'",
        "far-away: leaves": "SystemExit: no GPU here",
    }
