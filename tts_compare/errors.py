"""The exceptions of the program; what goes wrong with one request is data in its row, never an exception.

TTSCompareError
├── UsageError      bad input; exit status 2
└── RunError        a run or a stage of it failed; exit status 1
    ├── StartError  a server did not start: its cause, its log and what to try
    └── LostError   a cluster took a server away: what it was sent is not measured
"""


class TTSCompareError(Exception):
    """Anything this program raises on purpose; the message is one line that says what to do."""


class UsageError(TTSCompareError):
    """Bad input: a flag, a configuration key, a file or a data set row that cannot be used."""


class RunError(TTSCompareError):
    """A run, or one stage of it, failed."""


class StartError(RunError):
    """A server did not become ready.

    cause: the line of its log that explains it; log: the log's path; advice: what to try.
    """

    def __init__(self, cause: str, *, log: str, advice: str = "") -> None:
        super().__init__(f"server did not start: {cause} (log: {log}){'; ' + advice if advice else ''}")
        self.cause = cause
        self.log = log
        self.advice = advice


class LostError(RunError):
    """A cluster took a server, or the whole allocation, away: cancelled, preempted, out of time, a node lost.

    cause: what the cluster says. Nothing that was under way is a result; the run ends and can be resumed.
    """

    def __init__(self, cause: str) -> None:
        super().__init__(f"the cluster took the server away: {cause}")
        self.cause = cause
