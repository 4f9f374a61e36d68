"""Codes of what is found before and while a run is measured, and of what other tools' files leave open."""

from __future__ import annotations

from collections.abc import Mapping

from tts_compare.codes.code import Code

_NEW = "tts-compare run --out NEW"

RUN_CODES: Mapping[str, Code] = {
    # What is asked of thinking.
    "efforts_alike": Code(
        severity="note",
        text="two effort levels render the same prompt: they are one point",
        fix="tts-compare plan --effort L,...",
        advice="leave one of the levels out",
    ),
    "parser_unchecked": Code(
        severity="note",
        text="the reasoning parser follows from the model's name alone: that it fits is not checked",
        fix="tts-compare plan --model DIRECTORY",
        advice="give --model a directory with the model's tokenizer and chat template",
    ),
    "control_ignored": Code(
        severity="error",
        text="a control of thinking does nothing: the server took it and did not obey",
        fix="tts-compare run --engine-args BACKEND=FLAGS",
        advice="start the server with the flags that docs/methods.md names, or leave the method out",
    ),
    "prompts_as_long": Code(
        severity="warning",
        text="prompts under different controls have the same number of tokens: the control may be ignored",
        fix="tts-compare plan --model DIRECTORY",
        advice="give --model a directory with the model's chat template, so that prompts can be compared",
    ),
    "control_unchecked": Code(
        severity="note",
        text="whether a control of thinking is obeyed cannot be seen in its prompts: only the lengths of answers tell",
        fix="tts-compare report RUN",
    ),
    # What the settings are.
    "device_differs": Code(
        severity="warning",
        text="the device differs between settings",
        fix="tts-compare run --device cuda",
        advice="run all settings on one kind of device",
    ),
    "dtype_differs": Code(
        severity="warning",
        text="dtype differs between settings",
        fix="tts-compare run --dtype bfloat16",
        advice="give all settings one --dtype",
    ),
    "threads_per_rank_differ": Code(
        severity="warning",
        text="threads per rank differ between settings",
        fix="tts-compare run --config FILE  # with one threads_per_rank",
        advice="give all settings one threads_per_rank",
    ),
    "max_model_len_differs": Code(
        severity="warning",
        text="max_model_len differs between settings",
        fix="tts-compare run --max-model-len N",
        advice="give all settings one --max-model-len",
    ),
    "prefix_caching_differs": Code(
        severity="warning",
        text="prefix caching differs between settings",
        fix="tts-compare run --config FILE  # with prefix_caching on or off for all",
        advice="turn it on or off for all settings",
    ),
    "batch_limit_differs": Code(
        severity="warning",
        text="the batch limit differs between settings",
        fix="tts-compare run --config FILE  # with one max_num_seqs",
        advice="give all settings one max_num_seqs",
    ),
    "total_cores_differ": Code(
        severity="warning",
        text="settings use different numbers of CPU cores: on a CPU more ranks are more cores",
        fix="tts-compare run --config FILE  # with threads_per_rank raised for the smaller settings",
        advice="compare cost (device-seconds) besides latency, or raise threads_per_rank of the smaller settings",
    ),
    "scheduler_differs": Code(
        severity="warning",
        text="vLLM schedules asynchronously in some settings and not in others",
        fix="tts-compare run --config FILE  # with --no-async-scheduling in vLLM's engine_args",
        advice="switch it off for all of vLLM's settings, or read the comparison as one of both",
    ),
    "attention_differs": Code(
        severity="warning",
        text="SGLang uses other attention kernels and pages of the KV cache in some settings than in others",
        fix="tts-compare run --config FILE  # with engine_args of one attention backend and one page size",
        advice="name one attention backend and one page size for all of SGLang's settings",
    ),
    "memory_shares_differ": Code(
        severity="warning",
        text="engines take other shares of a GPU's memory",
        fix="tts-compare run --config FILE  # with engine_args of one share",
        advice="state one share for all; it matters where the KV cache is full",
    ),
    "setting_not_stated": Code(
        severity="warning",
        text="an engine cannot be told all that the others are told: its own values hold",
        fix="tts-compare plan --config FILE --commands",
        advice="compare it with care; what the other engines are told is in the settings",
    ),
    "ngram_is_not_one_method": Code(
        severity="note",
        text="SGLang's NGRAM proposes from a trie of text generated so far, vLLM's ngram looks up the prompt's and "
        "answer's own last tokens: the two share a name and the number of draft tokens, not the method",
        fix="tts-compare run --spec none,ngram",
        advice="compare each with its own engine's setting without speculation",
    ),
    "nodes_of_job_differ": Code(
        severity="warning",
        text="the nodes of the allocation are not alike, and settings may have run on different ones",
        fix="sbatch --constraint FEATURE",
        advice="hold nodes of one kind, or measure on one node",
    ),
    "parallel_servers": Code(
        severity="note",
        text="several servers ran at once and shared the machine's processor and memory",
        fix="tts-compare run --parallel-servers 1",
        advice="measure with one server at a time",
    ),
    "graded_live": Code(
        severity="note",
        text="answers were graded while requests ran, on the same processor",
        fix=_NEW,
        advice="leave --grade-live out when latency matters",
    ),
    "insecure": Code(
        severity="note",
        text="TLS certificates were not verified",
        fix="SSL_CERT_FILE=CA.pem tts-compare run",
        advice="leave --insecure out",
    ),
    # What the servers say.
    "version_differs": Code(
        severity="error",
        text="the server is of another version than the setting asks for",
        fix="tts-compare run --backend B==VERSION",
        advice="name the version that runs",
    ),
    "version_changed": Code(
        severity="error",
        text="requests of one setting were answered by two versions of its engine",
        fix=_NEW,
        advice="start a new run",
    ),
    "machine_changed": Code(
        severity="error",
        text="the run was resumed on another machine: its rows are of two",
        fix=_NEW,
        advice="compare what was measured on one machine: start a new run there",
    ),
    "resumed_other_model": Code(
        severity="warning",
        text="the run was resumed with another model: the settings of both are in it",
        fix=_NEW,
    ),
    "retried_failed": Code(
        severity="note",
        text="requests that had failed were sent again by --retry-failed: the failures stay counted",
        fix="tts-compare report RUN",
    ),
    "attached_on_trust": Code(
        severity="note",
        text="the server was attached to, and what it does not say is taken on trust",
        fix="tts-compare plan --config FILE",
        advice="let tts-compare start the server, or compare its command line with the setting by hand",
    ),
    "attached_differs": Code(
        severity="error",
        text="the attached server says otherwise than the setting",
        fix="tts-compare run --attach B=URL",
        advice="make the setting say what runs",
    ),
    "model_not_listed": Code(
        severity="note",
        text="the endpoint lists only a part of the model's name: what it makes of the rest is its own",
        fix="curl URL/models",
        advice="see its documentation for names of that form; a name it does not know fails every request",
    ),
    "sampling_not_stated": Code(
        severity="note",
        text="requests do not state every sampling parameter: the endpoint's own values hold",
        advice="compare accuracy with care; OpenAI's API has no field for them, or the model refuses it",
    ),
    "usage_not_asked": Code(
        severity="warning",
        text="the endpoint refuses stream_options: token counts are estimated from chunks",
        fix="tts-compare run --backend openai --base-url URL",
        advice="take its token counts and costs as rough",
    ),
    # What other files leave open.
    "problems_differ": Code(
        severity="error",
        text="ids of problems name other problems in another run: what is compared is not the same",
        fix="tts-compare report RUN",
        advice="report runs of different data sets apart, or give their problems ids",
    ),
    "imported": Code(
        severity="note",
        text="measured by another tool, whose rules for tokens and instants are its own",
        fix="tts-compare run --attach B=URL",
        advice="compare it with settings measured here only where the difference is large",
    ),
    "devices_unknown": Code(
        severity="note",
        text="the file does not say how many devices served the requests: no cost is computed",
        fix="tts-compare run --attach B=URL",
        advice="measure the setting with tts-compare to have its cost",
    ),
    "finish_reason_unknown": Code(
        severity="warning",
        text="the file does not say why generation ended: a truncated response counts as a whole one",
        fix="tts-compare import FILE --budget N",
        advice="pass --budget with the max_tokens of the run",
    ),
    "order_on_trust": Code(
        severity="warning",
        text="responses are matched to problems by their order",
        fix="tts-compare import FILE --dataset NAME",
        advice="make sure that the tool neither shuffled nor sampled the problems",
    ),
    "problems_unknown": Code(
        severity="warning",
        text="no response could be matched to a problem: nothing can be graded",
        fix="tts-compare import FILE --dataset NAME",
        advice="pass --dataset with the problems in the order sent",
    ),
    "texts_missing": Code(
        severity="warning",
        text="the file holds no response texts: nothing can be graded",
        fix="tts-compare import RAW_FILE",
        advice="export the raw records of that tool",
    ),
    "timeline_missing": Code(
        severity="note",
        text="no instants of single tokens: smaller budgets cannot be derived",
        fix="tts-compare run --attach B=URL",
        advice="measure them here",
    ),
    "wall_clock": Code(
        severity="note", text="instants are of the wall clock, which may have been set while the run went on"
    ),
    "ttft_role_chunk": Code(
        severity="error",
        text="vLLM's benchmark takes a role-only chunk for the first token: time to first token is too short",
        fix="tts-compare run --attach B=URL",
        advice="compare mean latency, not time to first token",
    ),
}
