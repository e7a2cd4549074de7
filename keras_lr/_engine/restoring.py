"""Base class of callbacks that change a model during a fit and restore it afterwards."""

from abc import abstractmethod
from types import TracebackType
from typing import Any, Self

from keras_lr._engine.callback import FitCallback


class RestoringCallback(FitCallback):
    """A callback that is its own context manager: what it has changed is put back at the end."""

    @abstractmethod
    def restore(self) -> None:
        """Put back what was changed. Can be called again."""

    def __enter__(self) -> Self:
        """Return the callback itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put back what was changed, whatever happened."""
        self.restore()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Do nothing, on purpose. Called by `fit`.

        Where no callback overrides this, Keras hands every batch's logs to another thread.
        """
