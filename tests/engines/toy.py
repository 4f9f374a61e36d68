"""A toy engine with a recipe of its own: installing is tested with real pip and real environments, in seconds."""

from __future__ import annotations

import sys
import time
import zipfile
from pathlib import Path

from tts_compare.installer import install
from tts_compare.installer.recipes import Recipe, Step

VERSION = "1.0"


def wheel(directory: Path, name: str, modules: dict[str, str]) -> Path:
    """A wheel that holds ``modules``, written by hand."""
    path = directory / f"{name}-{VERSION}-py3-none-any.whl"
    info = f"{name}-{VERSION}.dist-info"
    files = {f"{module}.py": text for module, text in modules.items()} | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {VERSION}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: toy\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    directory.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
        archive.writestr(f"{info}/RECORD", "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"]))
    return path


def slow_source(directory: Path, scratch: Path) -> Path:
    """A source distribution whose build writes its process id to ``scratch/building`` and waits for ``scratch/go``."""
    directory.mkdir(parents=True, exist_ok=True)
    built = wheel(directory / "built", "toy_slow", {"toy_slow": "slow = True\n"})
    (directory / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "toy_slow"\nversion = "1.0"\n'
    )
    (directory / "backend.py").write_text(
        "import os, pathlib, shutil, time\n"
        f"scratch = pathlib.Path({str(scratch)!r})\n"
        "def build_wheel(directory, *_, **__):\n"
        "    (scratch / 'building').write_text(str(os.getpid()))\n"
        "    while not (scratch / 'go').exists():\n"
        "        time.sleep(0.02)\n"
        f"    return shutil.copy({str(built)!r}, directory).rsplit('/', 1)[-1]\n"
    )
    return directory


def recipe(scratch: Path, *, slow: bool = False, broken: bool = False) -> Recipe:
    """The toy engine: one step that unpacks a wheel, and one more where asked. ``broken``: it does not import."""
    engine = "raise ImportError('toy is broken')\n" if broken else "import toy_part\n"
    # The installer asks every engine's environment for its torch.
    part = wheel(scratch / "wheels", "toy_part", {"toy_part": "", "torch": "__version__ = '0.toy'\n"})
    whole = wheel(scratch / "wheels", "toy_engine", {"toy_engine": engine})
    steps = [Step(title="its part", pip=("install", "--no-index", str(part)))]
    if slow:
        source = slow_source(scratch / "slow", scratch)
        steps.append(Step(title="the slow one", pip=("install", "--no-index", "--no-build-isolation", str(source))))
    steps.append(Step(title="the engine", pip=("install", "--no-index", str(whole))))
    return Recipe(
        engine="vllm",
        version=VERSION,
        device="cpu",
        distribution="toy_engine",
        steps=tuple(steps),
        check="toy_engine",
        size_hint="a few kB",
    )


def main(scratch: Path) -> None:
    """Install the slow toy in this process, saying what happens, until it is done or killed."""
    install.recipe = lambda *_: recipe(scratch, slow=True)  # type: ignore[attr-defined]
    began = time.monotonic()
    done = install.install("vllm", device="cpu", progress=lambda p: print(p.title, p.detail, flush=True))  # noqa: T201
    print("installed", done.path, round(time.monotonic() - began, 1), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
