"""What is submitted: tasks of an experiment, a batch file without a secret, a Job; and what became of each task."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.standin import model_directory
from tts_compare.backends import Machine
from tts_compare.cli import main
from tts_compare.domain import Setting
from tts_compare.errors import UsageError
from tts_compare.launchers.devices import lane_count, visible_devices
from tts_compare.plan.grid import equal_sizes, order
from tts_compare.plan.tasks import Shape, task_name
from tts_compare.rundir.parts import Parts, Submission, Task, add_submission, write_parts
from tts_compare.submit.batch import Batch, clock, text_of
from tts_compare.submit.design import seconds_in
from tts_compare.submit.kubernetes import Pod, manifest_of, yaml_of
from tts_compare.submit.state import jobs_of, states_of
from tts_compare.submit.words import flags_of

PAPER = ("submit", "--dry-run", "--config=paper", "--machine=4xGH200-96")


def batch(**changes: object) -> Batch:
    task = Task(name="m.r0", block="m", round=0, settings=("s",))
    given: dict[str, object] = {
        "run": Path("/runs/a b"),
        "file": "job.sbatch",
        "name": "n",
        "tasks": (task,),
        "shape": Shape(nodes=1, devices=2, cores=8, device="cuda"),
        "command": ("tts-compare", "run", "--model=it's $HOME"),
        "directory": Path("/home/me"),
    }
    return Batch(**given | changes)  # type: ignore[arg-type]


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(words) == 0
    return capsys.readouterr().out


def array(text: str, name: str) -> list[str]:
    """An array of the batch file, as bash reads it."""
    values = text[text.index("run=") : text.index("\ntask=")]
    done = subprocess.run(
        ["bash", "-c", f'{values}\nprintf "%s\\0" "${{{name}[@]}}"'], capture_output=True, text=True, check=True
    )
    return done.stdout.split("\0")[:-1]


def test_a_task_is_a_model_and_a_round_with_the_devices_of_its_largest_setting(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = said(capsys, *PAPER, "--rounds=3", "--max-jobs=2")
    blocks = array(text, "blocks")
    assert len(blocks) == 6 * 3
    assert [block.rpartition("@")[2] for block in blocks] == ["0"] * 6 + ["1"] * 6 + ["2"] * 6
    assert "#SBATCH --array=0-17%2\n" in text
    assert "#SBATCH --gpus-per-node=4\n" in text
    assert array(text, "command")[-3:] == ["--config", "paper", "--rounds=3"]


def test_a_setting_of_its_own_is_a_task_where_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    argv = (
        "submit",
        "--dry-run",
        "--model=Qwen/Qwen2.5-0.5B-Instruct",
        "--backend=vllm",
        "--tp=1,2",
        "--split=setting",
    )
    assert main([*argv, "--machine=4xH100-SXM"]) == 0
    out = capsys.readouterr()
    assert "on different nodes" in out.err
    assert out.out.count("#!/bin/bash") == 2
    assert [line for line in out.out.splitlines() if "gpus-per-node" in line] == [
        "#SBATCH --gpus-per-node=1",
        "#SBATCH --gpus-per-node=2",
    ]


def test_a_setting_larger_than_a_node_asks_for_several_and_for_the_launcher_of_slurm(
    capsys: pytest.CaptureFixture[str],
) -> None:
    argv = ("submit", "--dry-run", "--model=Qwen/Qwen2.5-7B-Instruct", "--backend=vllm", "--tp=4", "--pp=2")
    text = said(capsys, *argv, "--machine=2x(4xH100-SXM)")
    assert "#SBATCH --nodes=2\n" in text
    assert "#SBATCH --gpus-per-node=4\n" in text
    assert "--launcher=slurm" in array(text, "command")


def test_a_dry_run_writes_nothing_and_needs_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    argv = ("submit", "--dry-run", "--model=/nowhere/model", "--backend=vllm", "--device=cpu", "--time=1:00:00")
    assert main(argv) == 0
    assert "the weights of /nowhere/model are not here" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_submitted_where_the_engine_or_the_model_is_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    model = model_directory(tmp_path)
    (model / "model.safetensors").unlink(missing_ok=True)
    argv = (
        "submit",
        f"--model={model}",
        "--backend=vllm",
        "--device=cpu",
        "--engine-python=vllm=/nowhere",
        "--out=run",
    )
    assert main(argv) == 2
    assert "--no-check" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_words_reach_the_program_as_they_were_typed() -> None:
    assert array(text_of(batch()), "command") == ["tts-compare", "run", "--model=it's $HOME"]
    assert array(text_of(batch()), "run") == ["/runs/a b"]


def test_keys_in_the_environment_are_not_in_the_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("OPENAI_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "sk-very-secret")
    assert "sk-very-secret" not in said(capsys, *PAPER)


def test_a_flag_with_a_password_is_refused() -> None:
    with pytest.raises(UsageError, match="--attach holds a password"):
        flags_of(None, {"attach": ["vllm=http://me:secret@host:8000/v1"]})


@pytest.mark.parametrize("path", ['/runs/a"b', "/runs/a\nb", "/runs/a\\b"])
def test_a_path_that_sbatch_cannot_be_told_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="sbatch cannot be told"):
        text_of(batch(run=Path(path)))


@pytest.mark.parametrize("option", ["", "--account=a\nrm -rf /", "; rm"])
def test_an_option_that_is_none_is_refused(option: str) -> None:
    with pytest.raises(UsageError, match="--sbatch"):
        text_of(batch(lines=(option,)))


@pytest.mark.parametrize("option", ["account=abc", "--account=abc", "#SBATCH --account=abc"])
def test_an_option_of_the_users_is_written_however_it_is_given(option: str) -> None:
    assert "\n#SBATCH --account=abc\n" in text_of(batch(lines=(option,)))


@pytest.mark.parametrize("how", ["requeue", "chain", "stop"])
def test_the_file_is_clean_to_shellcheck(how: str, tmp_path: Path) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    file = tmp_path / "job.sbatch"
    file.write_text(text_of(batch(on_preempt=how, setup=Path("/home/me/set up.sh"), max_hours=3.0)))
    assert subprocess.run(["shellcheck", str(file)], check=False, capture_output=True, text=True).stdout == ""


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 5400), ("10:00", 600), ("4:00:00", 14400), ("1-0", 86400), ("1-12:30", 131400), ("0-0:0:1", 1)],
)
def test_a_time_limit_is_read_as_slurm_reads_it(text: str, seconds: int) -> None:
    assert seconds_in(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "1:2:3:4", "-5", "0", "1.5", "1-"])
def test_what_is_no_time_limit_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--time"):
        seconds_in(text)


def test_a_time_limit_is_written_in_whole_minutes_upward() -> None:
    assert [clock(seconds) for seconds in (1, 3600, 90061)] == ["00:01:00", "01:00:00", "1-01:02:00"]


def test_names_of_tasks_are_one_path_component_and_tell_blocks_apart() -> None:
    blocks = ["a/b", "a_b", "a b", "a:b", "../x", ".", "vllm/m/tp1-pp1-dp1/none", "vllm/m_tp1-pp1-dp1/none", "x" * 300]
    names = [task_name(f"{block}@3") for block in blocks]
    assert all(Path(name).name == name and name.endswith(".r3") and " " not in name for name in names)
    assert len(set(names)) == len(names)


def test_only_names_a_block_or_says_which_there_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = model_directory(tmp_path)
    argv = (f"--model={model}", "--backend=vllm", "--device=cpu", "--dataset=quickstart", f"--out={tmp_path / 'run'}")
    for asked in ("other@0", "tiny@7", "tiny", "@0"):
        assert main([*argv, f"--only={asked}"]) == 2
        assert "--only" in capsys.readouterr().err


def test_a_job_is_one_pod_that_resumes_its_run(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ("submit", "--to=kubernetes", "--config=paper", "--machine=4xGH200-96", "--image=me/tts:1", "--secret=keys")
    text = said(capsys, *argv)
    assert 'nvidia.com/gpu: "4"' in text
    pod = Pod(name="A run!", image="i", claim="c", flags=("--tp=1,2",), devices=0, cores=3)
    made = manifest_of(pod)
    assert made["metadata"]["name"] == "tts-a-run"
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["tts-compare", "run", "--tp=1,2", "--resume", "/runs/tts-a-run", "--quiet"]
    assert "nvidia.com/gpu" not in container["resources"]["limits"]


def test_the_job_is_yaml_of_what_it_is_made_of() -> None:
    yaml = pytest.importorskip("yaml")
    made = manifest_of(Pod(name="n", image="i:1", claim="c", flags=('--prompt=a: "b" # c', "yes"), devices=8, cores=34))
    assert yaml.safe_load(yaml_of(made)) == made


def test_the_job_is_valid_to_kubernetes(tmp_path: Path) -> None:
    """Its checker is in an environment of its own: `make kubernetes-validate`."""
    checker = Path(
        os.environ.get("KUBERNETES_VALIDATE", Path(sys.prefix) / "kubernetes" / "bin" / "kubernetes-validate")
    )
    if not checker.is_file():
        pytest.skip("kubernetes-validate is not installed: `make kubernetes-validate` installs it")
    file = tmp_path / "job.yaml"
    pod = Pod(name="n", image="i", claim="c", flags=("--tp=1,2",), devices=8, cores=34, deadline_s=3600, secret="keys")
    file.write_text(yaml_of(manifest_of(pod)))
    done = subprocess.run([str(checker), "--strict", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    file.write_text(file.read_text().replace("backoffLimit: 3", 'backoffLimit: "often"'))
    assert subprocess.run([str(checker), "--strict", str(file)], capture_output=True, check=False).returncode != 0


TASK = Task(name="m.r0", block="m", round=0, settings=("s",), requests=10)


def submitted_run(home: Path, *words: dict[str, object]) -> Path:
    (home / "jobs").mkdir()
    write_parts(home, Parts(tasks=(TASK,)))
    add_submission(home, Submission(job="7", file="job.sbatch", tasks={"m.r0": 0}))
    lines = [json.dumps({"at": 1.0, "job": "7_0", **word}) + "\n" for word in words]
    (home / "jobs" / "m.r0.jsonl").write_text("".join(lines))
    return home


START: dict[str, object] = {"event": "start"}


@pytest.mark.parametrize(
    ("words", "queue", "state"),
    [
        ([], {"7_0": ("PENDING", "Priority")}, "waiting"),
        ([], {}, "lost"),
        ([], None, "waiting"),
        ([START], {"7_0": ("RUNNING", "None")}, "running"),
        ([START], {}, "lost"),
        ([START], None, "running"),
        ([START, {"event": "end", "why": "failed", "status": 1}], {}, "failed"),
        ([START, {"event": "end", "why": "given up", "status": 1}], {}, "given up"),
        ([START, {"event": "end", "why": "interrupted", "status": 130}], {}, "interrupted"),
        ([START, {"event": "end", "why": "requeued", "status": 130}], {"7_0": ("PENDING", "BeginTime")}, "waiting"),
        ([START, {"event": "successor", "why": "8"}], {"8_0": ("PENDING", "Dependency")}, "waiting"),
    ],
)
def test_the_state_of_a_task_is_what_its_jobs_said_and_slurm_explains_the_rest(
    words: list[dict[str, object]], queue: dict[str, tuple[str, str]] | None, state: str, tmp_path: Path
) -> None:
    (found,) = states_of(submitted_run(tmp_path, *words), queue)
    assert found.state == state


def test_a_torn_word_hides_none_before_it_and_successors_are_cancelled_too(tmp_path: Path) -> None:
    run = submitted_run(tmp_path, START, {"event": "successor", "why": "8"})
    with (run / "jobs" / "m.r0.jsonl").open("a") as out:
        out.write('{"event":"end","at":')
    assert jobs_of(run) == ["7", "8"]
    (found,) = states_of(run, {"7_0": ("RUNNING", "None")})
    assert (found.state, found.attempts) == ("running", 1)


def test_small_settings_of_a_job_are_packed_onto_the_devices_of_its_largest() -> None:
    settings = [Setting(backend="vllm", model="m", device="cuda", tensor_parallel=tp) for tp in (1, 2, 4)]
    settings.insert(1, replace(settings[0], backend="sglang"))
    machine = Machine(device="cuda", devices=4, memory_bytes=0, gpu_names=("H100",) * 4)
    for turn in (0, 1):
        blocks = [block for block in order(settings, rounds=2) if block.round == turn]
        lots = equal_sizes(blocks)
        assert [block for lot in lots for block in lot] == sorted(
            blocks, key=lambda block: block.setting.devices or 0, reverse=bool(turn)
        )
        for lot in lots:
            beside = [block.setting for block in lot]
            lanes = lane_count(beside, machine, asked=4)
            seen = [visible_devices(beside[0], beside, machine, lane=lane, environ={}) or "" for lane in range(lanes)]
            devices = [device for text in seen for device in text.split(",")]
            assert sorted(devices) == ["0", "1", "2", "3"]


def test_one_process_does_not_write_into_a_run_that_jobs_measure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    run = submitted_run(tmp_path / "run")
    argv = (f"--model={model_directory(tmp_path)}", "--backend=vllm", "--device=cpu", "--dataset=quickstart")
    assert main([*argv, f"--resume={run}"]) == 2
    assert "submit --resume" in capsys.readouterr().err
