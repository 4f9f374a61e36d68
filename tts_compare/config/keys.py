"""Every knob, and what reads each key: tables made of the declarations on the Experiment."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from tts_compare.config.experiment import Experiment
from tts_compare.config.knob import Knob, knobs_of
from tts_compare.config.values import Parse
from tts_compare.domain import Sampling

#: Every knob by its key, in the order in which they are declared.
KNOBS: dict[str, Knob] = {knob.key: knob for knob in knobs_of(Experiment)}

#: What reads the value of each key.
TOP: dict[str, Parse[Any]] = {key: knob.parse for key, knob in KNOBS.items()}

#: Names that say the same in full.
SYNONYMS: dict[str, str] = {synonym: key for key, knob in KNOBS.items() for synonym in knob.synonyms}

#: What reads each sampling parameter.
SAMPLING: dict[str, Parse[Any]] = {field.name: TOP[field.name] for field in fields(Sampling)}
