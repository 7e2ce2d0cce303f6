"""Signals that ask a run to stop: it saves at the next step and exits."""

import signal
from types import FrameType

from mtlbench.system.errors import Interrupted

#: Slurm sends TERM at the time limit or preemption, and USR1 where a site asks for an early warning.
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


def exit_when_asked() -> None:
    """Outside a training, where StopSignal answers, a request to stop ends the process in order: no lease is left."""

    def leave(_: int, __: FrameType | None) -> None:
        for number in SIGNALS:  # a second request must not disturb the order
            signal.signal(number, signal.SIG_IGN)
        raise SystemExit(Interrupted.exit_code)

    for number in SIGNALS:
        if number != signal.SIGINT:  # Python raises KeyboardInterrupt by itself
            signal.signal(number, leave)


class StopSignal:
    """Context manager: ``received`` is the name of the signal that asked to stop, or None.

    A second SIGINT (Ctrl-C) ends at once.
    """

    def __init__(self) -> None:
        self.received: str | None = None
        self._previous: dict[int, object] = {}

    def __enter__(self) -> "StopSignal":
        for number in SIGNALS:
            self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = signal.Signals(number).name
