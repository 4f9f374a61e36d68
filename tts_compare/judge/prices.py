"""Prices that are stated when a report is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec import structs

from tts_compare.analysis.rows.attempts import is_hosted
from tts_compare.domain import Price
from tts_compare.errors import UsageError
from tts_compare.rundir.manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Prices given when a report is made; they stand over those of the run.

    gpu_hour_usd: of a device hour, for every setting of ours. hosted: setting id, or a part of one id alone -> dollars
    per million tokens; the empty name is every hosted setting.
    """

    gpu_hour_usd: float | None = None
    hosted: Mapping[str, Price] = field(default_factory=dict)

    def over(self, manifest: Manifest) -> Manifest:
        """The manifest with these prices. Raises UsageError where a name is of no setting, or of several."""
        settings = dict(manifest.settings)
        if self.gpu_hour_usd is not None:
            settings = {n: structs.replace(facts, gpu_hour_usd=self.gpu_hour_usd) for n, facts in settings.items()}
        for name, price in self.hosted.items():
            found = [setting for setting, facts in settings.items() if is_hosted(facts) or name]
            if name:
                found = [name] if name in settings else [setting for setting in found if name in setting]
                if len(found) != 1:
                    what = "several settings" if found else "no setting"
                    raise UsageError(f"--price {name}=...: {what} of this name; there are {', '.join(settings)}")
            settings |= {setting: structs.replace(settings[setting], price=price) for setting in found}
        return structs.replace(manifest, settings=settings)
