"""Every option of the server, written down once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import cog.settings.values as values

_TOP: Final = 1_000_000  # more threads or slots than that is a slip of the finger


@dataclass(frozen=True, slots=True)
class Option:
    """One thing that can be set: by a flag, by an environment variable, or by either (the flag wins).

    `default` is written as a person would type it, None when there is no value unless one is given. An
    unusable value of the variable ends the server, but where `lenient`: then it is a warning, and
    `fallback` counts (None: the default), because Cog's servers start with such values. `bare` is what the
    flag without a value means. A `secret` is never shown.
    """

    name: str
    flag: str | None
    variable: str | None
    parse: Callable[[str], object]
    default: str | None
    help: str
    metavar: str = "TEXT"
    bare: str | None = None
    lenient: bool = False
    fallback: str | None = None
    secret: bool = False


OPTIONS: Final[tuple[Option, ...]] = (
    Option("host", "--host", None, values.text, "0.0.0.0",
           "Address to listen on: IPv4, IPv6 (`::` takes both) or a name.", "HOST"),
    Option("port", "--port", "PORT", values.whole(0, 65535), "5000",
           "Port to listen on; 0 takes any free one.", "PORT"),
    Option("listen_fd", "--fd", None, values.whole(0, _TOP), None,
           "Accept connections on this socket, an open descriptor that listens already, in the place of --host and "
           "PORT: for programs that start the server.", "N"),
    Option("owner_fd", "--owner-fd", None, values.whole(0, _TOP), None,
           "End at once when the other end of this pipe, an open descriptor, is closed: when the program that "
           "started the server is gone.", "N"),
    Option("hold", "--hold", None, values.switch, "false",
           "Do everything but load the model until something was written into the pipe of --owner-fd.", "BOOL",
           bare="true"),
    Option("threads", "--threads", None, values.whole(1, _TOP), None,
           "Predictions of a plain `def run` served in parallel, each by a process with its own copy of the "
           "model; as many as fit in memory. Without it: the number of CPUs; 1 when `build.gpu` is true or with --reload.", "N"),
    Option("workers", "--workers", "COG_WORKERS", values.whole(1, _TOP), None,
           "Processes of an `async def run`, each with its own copy of the model and its own slots; as many as fit in "
           "memory. Without it: 1, or one for each GPU of --gpus. For a plain `def run` it is the same as --threads.", "N"),
    Option("gpus", "--gpus", "COG_GPUS", values.gpus, None,
           "GPUs that are divided among the workers, one for each (CUDA_VISIBLE_DEVICES): `all`, numbers or names separated by "
           "commas, or `none`, with which every worker sees all. Without it: `all` when there are several, `build.gpu` is true "
           "and --threads or --workers asks for more than one worker.", "LIST"),
    Option("max_queue", "--max-queue", "COG_MAX_QUEUE", values.whole(0, _TOP), "0",
           "Predictions that may wait for a slot when all are taken, first in, first out. One more is refused with 409 and "
           "`Retry-After`.", "N"),
    Option("queue_timeout", "--queue-timeout", "COG_QUEUE_TIMEOUT", values.seconds, "0",
           "How long a prediction may wait for a slot before it fails; 0 for as long as it takes.", "SECONDS"),
    Option("max_batch_size", "--max-batch-size", "COG_MAX_BATCH_SIZE", values.whole(1, _TOP), None,
           "Most predictions in one call of a model with `@batch`. Without it, and when it is more: what the model says.", "N"),
    Option("max_batch_wait", "--max-batch-wait", "COG_MAX_BATCH_WAIT", values.seconds, None,
           "How long the first prediction of a batch waits for others while the model is idle. Without it: what `@batch` says.",
           "SECONDS"),
    Option("busy_poll", "--busy-poll", "COG_BUSY_POLL", values.short_time, "auto",
           "How long server and workers look for more, after an order and after the end of a run, before they sleep, which makes "
           "short predictions about twice as fast and keeps a processor busy for each process meanwhile. `auto`: 0.0003 while "
           "predictions come one at a time, neither the model nor who asks takes longer than that, and there are processors to "
           "spare; 0: never.", "SECONDS"),
    Option("max_predictions_per_worker", "--max-predictions-per-worker", "COG_MAX_PREDICTIONS_PER_WORKER",
           values.whole(0, 10**9), "0",
           "Replace a worker after so many predictions. The next one is set up first where memory allows, and nothing that "
           "runs is lost. 0: never.", "N"),
    Option("max_worker_memory", "--max-worker-memory", "COG_MAX_WORKER_MEMORY", values.size_or_none, "0",
           "Replace a worker in the same way when it takes more memory than this, with the processes that it has started. "
           "0: never.", "SIZE"),
    Option("reload", "--reload", None, values.switch, "false",
           "Load the model anew when a Python file below its folder changes. What is running ends on the model as it was, "
           "which also goes on serving when the changed one cannot be set up. Both are in memory for a while.",
           "BOOL", bare="true"),
    Option("upload_url", "--upload-url", None, values.url, None,
           "Where output files are PUT; the response then holds their URLs. Without it: data URLs.", "URL"),
    Option("config_file", "--config", None, values.text, None,
           "The configuration of the model; it runs in the folder of that file. Without it: cog.yaml of this folder or the "
           "nearest above.", "PATH"),
    Option("no_config", "--no-config", None, values.switch, "false",
           "Read no cog.yaml: COG_PREDICT_TYPE_STUB names the model of this folder. For programs that have read it "
           "themselves.", "BOOL", bare="true"),
    Option("await_explicit_shutdown", "--await-explicit-shutdown", None, values.switch, "false",
           "Ignore SIGTERM; SIGINT and POST /shutdown still end the server.", "BOOL", bare="true"),
    Option("mode", "--x-mode", None, values.one_of("predict", "train"), "predict",
           "What to serve: `predict` or `train`.", "MODE"),
    Option("keep", "--keep", "COG_KEEP", values.seconds, "3600",
           "How long an ended prediction can be asked for.", "SECONDS"),
    Option("drain_timeout", "--drain-timeout", "COG_DRAIN_TIMEOUT", values.seconds, "25",
           "How long running predictions may take to finish once the server was told to end.", "SECONDS"),
    Option("cancel_grace", "--cancel-grace", "COG_CANCEL_GRACE", values.seconds, "10",
           "How long a canceled prediction may clean up before its process is killed.", "SECONDS"),
    Option("predict_timeout", "--predict-timeout", "COG_PREDICT_TIMEOUT", values.seconds, "0",
           "How long the model may take for one prediction; then it is stopped like a canceled one, and has failed. Waiting for "
           "files or a place does not count. 0: for ever.", "SECONDS"),
    Option("max_body", "--max-body", "COG_MAX_BODY", values.size, "100MiB", "Largest request body.", "SIZE"),
    Option("max_download", "--max-download", "COG_MAX_DOWNLOAD", values.size, "1GiB",
           "Largest input file to download.", "SIZE"),
    Option("max_files", "--max-files", "COG_MAX_FILES", values.whole(1, _TOP), "1000",
           "Most input files of one prediction.", "N"),
    Option("download_timeout", "--download-timeout", "COG_DOWNLOAD_TIMEOUT", values.seconds_above_zero, "3600",
           "How long one input file may take to arrive, all attempts together.", "SECONDS"),
    Option("max_output", "--max-output", "COG_MAX_OUTPUT", values.size, "1GiB",
           "Largest output of one prediction, as JSON text; uploaded files do not count.", "SIZE"),
    Option("client_timeout", "--client-timeout", "COG_CLIENT_TIMEOUT", values.seconds_above_zero, "30",
           "How long a client may take to send the head of a request, to go on with its body, or to go on "
           "reading an answer. A slower one is hung up on.", "SECONDS"),
    Option("allow_local_files", "--allow-local-files", None, values.switch, "false",
           "Accept paths on the server's own disk as file inputs: only where no stranger reaches the server.",
           "BOOL", bare="true"),
    Option("predict_ref", None, "COG_PREDICT_TYPE_STUB", values.text, None,
           "The model, as `run.py:Runner`. Without it: `run` of cog.yaml.", "REF"),
    Option("train_ref", None, "COG_TRAIN_TYPE_STUB", values.text, None,
           "The training function, as `train.py:train`. Without it: `train` of cog.yaml.", "REF"),
    Option("max_concurrency", None, "COG_MAX_CONCURRENCY", values.whole(1, _TOP), None,
           "Predictions at a time for an `async def run`. Without it: `concurrency.max` of cog.yaml, "
           "then `@cog.concurrent`, then 1. An unusable value counts as 1.", "N", lenient=True, fallback="1"),
    Option("setup_timeout", None, "COG_SETUP_TIMEOUT", values.seconds_above_zero, None,
           "How long the model's `setup()` may take. Without it: for ever. An unusable value is ignored.",
           "SECONDS", lenient=True),
    Option("log_level", None, "COG_LOG_LEVEL",
           values.one_of("debug", "info", "warning", "error", "off", warn="warning"), "info",
           "Least important messages to log: debug, info, warning, error, or off for none. What the model prints "
           "always appears.", "LEVEL", lenient=True),
    Option("log_format", None, "LOG_FORMAT", values.one_of("json", "console", "auto"), "auto",
           "How to log: `json`, `console` (text for people), or `auto`: console on a terminal, else json.",
           "FORMAT", lenient=True, fallback="json"),
    Option("log_predictions", "--log-predictions", "COG_LOG_PREDICTIONS", values.switch, "false",
           "Log a line when a prediction has ended: how, after how long, and why it failed.", "BOOL", bare="true"),
    Option("throttle_interval", None, "COG_THROTTLE_RESPONSE_INTERVAL", values.seconds, "0.5",
           "Least time between two `output` or `logs` webhooks of one prediction.", "SECONDS", lenient=True),
    Option("stream_history", None, "COG_STREAM_HISTORY_CAPACITY", values.whole(0, _TOP), "1024",
           "Events of a running prediction that are told anew to a client who comes later (server-sent events); 0 for none.",
           "N", lenient=True),
    Option("webhook_auth_token", None, "WEBHOOK_AUTH_TOKEN", values.text, None,
           "Sent with each webhook as `Authorization: Bearer TOKEN`.", "TOKEN", secret=True),
    Option("webhook_signing_secrets", None, "WEBHOOK_SIGNING_SECRET", values.signing_secrets, None,
           "Signs each webhook as Standard Webhooks says: `whsec_` and the base64 of 24 to 64 random bytes. "
           "Several, separated by spaces, while keys are changed.", "SECRET", secret=True),
    Option("url_policy", None, "COG_URL_POLICY", values.one_of("private", "public"), "private",
           "Which addresses input and webhook URLs may lead to: `public` refuses private networks and "
           "loopback; link-local and cloud metadata addresses are always refused.", "POLICY"),
    Option("worker_python", None, "COG_WORKER_PYTHON", values.text, None,
           "The Python that runs the model. Without it: the one that runs the server.", "PATH"),
    Option("user_agent", None, "COG_USER_AGENT", values.text, None,
           "User-Agent of downloads, uploads and webhooks. Without it: `cog/` and the version.", "TEXT"),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What was set. Times are in seconds, sizes in bytes; None means that nothing was said (see `OPTIONS`).

    `warnings` tells of variables whose value could not be used and was replaced.
    """

    host: str
    port: int
    listen_fd: int | None
    owner_fd: int | None
    hold: bool
    threads: int | None
    workers: int | None
    gpus: tuple[str, ...] | None
    max_queue: int
    queue_timeout: float
    max_batch_size: int | None
    max_batch_wait: float | None
    busy_poll: float | None
    max_predictions_per_worker: int
    max_worker_memory: int
    reload: bool
    upload_url: str | None
    config_file: str | None
    no_config: bool
    await_explicit_shutdown: bool
    mode: str
    keep: float
    drain_timeout: float
    cancel_grace: float
    predict_timeout: float
    max_body: int
    max_download: int
    max_files: int
    download_timeout: float
    max_output: int
    client_timeout: float
    allow_local_files: bool
    predict_ref: str | None
    train_ref: str | None
    max_concurrency: int | None
    setup_timeout: float | None
    log_level: str
    log_format: str
    log_predictions: bool
    throttle_interval: float
    stream_history: int
    webhook_auth_token: str | None = field(repr=False)
    webhook_signing_secrets: tuple[bytes, ...] | None = field(repr=False)
    url_policy: str
    worker_python: str | None
    user_agent: str | None
    warnings: tuple[str, ...] = ()
