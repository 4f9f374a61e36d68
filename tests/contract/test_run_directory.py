"""The run directory is documented by the classes that write it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from tests.builders import manifest, record
from tts_compare.cli.run_format import DOCS, documents
from tts_compare.domain import RequestRecord
from tts_compare.rundir import store
from tts_compare.rundir.manifest import manifest_of, plain
from tts_compare.rundir.schema import schemas, tables

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_what_is_committed_is_what_the_classes_say(path: Path) -> None:
    """``make docs`` writes it anew."""
    assert path.read_text(encoding="utf-8") == documents()[path]


def test_every_class_that_is_written_has_its_table() -> None:
    shown = re.findall(r"<!-- table: (\w+) -->", (DOCS / "run-directory.md").read_text(encoding="utf-8"))
    assert sorted(shown) == sorted(tables())


def test_every_field_is_described() -> None:
    bare = [
        f"{kind}.{name}"
        for schema in schemas().values()
        for kind, part in schema["$defs"].items()
        for name, field in part["properties"].items()
        if not field.get("description")
    ]
    assert bare == []


@pytest.mark.parametrize("run", sorted(path.parent.name for path in GOLDEN.glob("*/manifest.json")))
def test_a_golden_manifest_keeps_all_it_says(run: str) -> None:
    """Read and written again, it lacks nothing; the table of codes alone may say more of its warnings."""
    before = json.loads((GOLDEN / run / "manifest.json").read_text(encoding="utf-8"))
    after = json.loads(json.dumps(plain(store.read_manifest(store.open_run(GOLDEN / run)))))
    assert lost("", {key: value for key, value in before.items() if key != "doubts"}, after) == []
    assert [row["code"] for row in after["doubts"]] == [row["code"] for row in before["doubts"]]


def lost(path: str, before: object, after: object) -> list[str]:
    """Paths at which a value is gone or another."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [one for key in before for one in lost(f"{path}.{key}", before[key], after.get(key, "nothing"))]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [one for at, (x, y) in enumerate(zip(before, after, strict=True)) for one in lost(f"{path}.{at}", x, y)]
    return [] if before == after else [path]


def test_a_manifest_comes_back_as_it_was_written() -> None:
    made = manifest(name="run", settings={"s": {"model": "m", "price": {"input": 1.0, "output": 2.0}}})
    assert manifest_of(json.loads(json.dumps(plain(made)))) == made


def test_a_key_of_a_later_version_is_ignored_and_a_value_of_another_type_is_not() -> None:
    assert manifest_of({"name": "run", "of_tomorrow": 1}).name == "run"
    with pytest.raises(msgspec.ValidationError, match="name"):
        manifest_of({"name": 1})


def test_a_record_of_the_builder_is_a_row() -> None:
    made = record(text="x")
    assert made.ok
    assert msgspec.json.decode(msgspec.json.encode(made), type=RequestRecord) == made
