"""The first Ctrl-C as a wish, the second as what it always was."""

import signal
import threading
from collections.abc import Callable
from types import FrameType


class FirstInterrupt:
    """In place of the handler of Ctrl-C until `remove`; only in the main thread.

    Args:
        is_wish: Whether Ctrl-C is to be noted now, and not handled as before.

    Attributes:
        asked: Whether it has been pressed.
    """

    def __init__(self, is_wish: Callable[[], bool]) -> None:
        self.asked = False
        self._is_wish = is_wish
        self._before: Callable[[int, FrameType | None], object] | None = None
        present = signal.getsignal(signal.SIGINT)
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and callable(present):  # else it is ignored, or not Python's
            self._before = present
            signal.signal(signal.SIGINT, self._handle)

    def remove(self) -> None:
        """Put the former handler back, unless another one has been put over this one since."""
        self._is_wish = bool  # no more
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and self._before and signal.getsignal(signal.SIGINT) == self._handle:
            signal.signal(signal.SIGINT, self._before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self.asked and self._is_wish():
            self.asked = True
            return
        self.remove()
        if self._before is not None:
            self._before(number, frame)
