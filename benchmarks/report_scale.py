"""How long and how much memory the analysis of a large run takes: 30 settings x 5 budgets x 500 problems x 4 samples.

    python -m benchmarks.report_scale

Seconds of each stage and the peak memory of this process, which also holds the synthetic run itself.
"""

from __future__ import annotations

import cProfile
import pstats
import resource
import sys
import time

from tests.synthetic import World, engines_grid, make_run
from tts_compare.analysis.analyse import analyse, points


def main() -> None:
    models = ("a", "b", "c", "d", "e")
    engines = (*engines_grid(models=models[:3]), *engines_grid(models=models[3:], tensor_parallels=(1,)))[:30]
    world = World(
        engines=engines,
        budgets=(128, 256, 512, 1024, 2048),
        problems=500,
        samples=4,
        mixed=0.5,
        parameters={name: 10**9 * (i + 1) for i, name in enumerate(models)},
    )
    run = make_run(world)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{run.records.height} records, {len(engines)} settings; the run itself takes {before} MB")
    profile = cProfile.Profile() if "--profile" in sys.argv else None
    for name, stage in (("points", points), ("analyse", analyse)):
        began, cpu = time.perf_counter(), time.process_time()
        if profile:
            profile.enable()
        stage(run.records, run.grades, run.manifest)
        if profile:
            profile.disable()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"{name}: {time.perf_counter() - began:.1f} s, {time.process_time() - cpu:.1f} CPU s, peak {peak} MB")
    if profile:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(40)


if __name__ == "__main__":
    main()
