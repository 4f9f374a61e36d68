"""Build the wheel, install it where the source cannot be seen, and use it: run as a script by ``make wheel``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("tts_compare/py.typed", "tts_compare/configs/quickstart.toml", "tts_compare/configs/paper.toml")


def run(*argv: str | Path, cwd: Path) -> str:
    """The standard output of a command; its failure is ours."""
    done = subprocess.run([str(arg) for arg in argv], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(str(arg) for arg in argv)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def main() -> None:
    """Exit with a message at the first thing that is wrong."""
    with tempfile.TemporaryDirectory() as scratch_name:
        scratch = Path(scratch_name)
        run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", scratch, ROOT, cwd=scratch)
        (wheel,) = scratch.glob("tts_compare-*.whl")
        names = set(zipfile.ZipFile(wheel).namelist())
        missing = [name for name in NEEDED if name not in names]
        if missing:
            sys.exit(f"the wheel lacks {missing}")
        environment = scratch / "env"
        venv.create(environment, with_pip=True)
        python = environment / "bin" / "python"
        run(python, "-m", "pip", "install", "--quiet", wheel, cwd=scratch)
        where = run(python, "-c", "import tts_compare; print(tts_compare.__file__)", cwd=scratch)
        if str(ROOT) in where:
            sys.exit(f"the installed package is the source: {where}")
        run(environment / "bin" / "tts-compare", "--version", cwd=scratch)
        run(environment / "bin" / "tts-compare", "plan", "--config", "paper", cwd=scratch)
        run(environment / "bin" / "tts-compare", "selftest", cwd=scratch)
        print(f"{wheel.name}: installed alone, plans the paper's grid and passes its self-test")


if __name__ == "__main__":
    main()
