"""What a job would find missing, looked for before it waits in a queue: engines and models."""

from __future__ import annotations

from collections.abc import Iterator

from tts_compare.errors import UsageError
from tts_compare.measure.servers import find_pythons
from tts_compare.plan.model_facts import directory_of, weight_bytes
from tts_compare.plan.prepare import Prepared


def missing_here(prepared: Prepared) -> Iterator[str]:
    """A sentence for each engine without an environment and each model without weights on this machine."""
    try:
        find_pythons(prepared)
    except UsageError as error:
        yield str(error)
    ours = {(s.model, s.revision) for s in prepared.settings if s.base_url is None and not s.hosted}
    drafts = {(s.speculation.model, None) for s in prepared.settings if s.speculation.model and not s.hosted}
    for model, revision in sorted(ours | drafts, key=str):
        directory = directory_of(model, revision, fetch=False)
        if directory is None or not weight_bytes(directory):
            yield f"the weights of {model} are not here: fetch them to a disk that the nodes see (hf download {model})"
