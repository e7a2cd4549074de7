"""A schedule that a plateau has scaled, as a saved optimizer holds it."""

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="keras_lr")
class Scaled(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A schedule times a constant: what a plateau makes of an optimizer's own schedule.

    Args:
        schedule: The schedule.
        scale: The constant.
    """

    def __init__(self, schedule: Any, scale: float) -> None:
        self.schedule = schedule
        self.scale = scale

    def __call__(self, step: Any) -> Any:
        """Return the scaled value at `step`."""
        return self.schedule(step) * self.scale

    @property
    def counts_updates(self) -> bool:
        """Whether its steps are updates under gradient accumulation, as the schedule's are."""
        return getattr(self.schedule, "counts_updates", False)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        schedule = keras.saving.serialize_keras_object(self.schedule)
        return {"schedule": schedule, "scale": self.scale}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Scaled":
        """Make it again from `get_config()`."""
        return cls(keras.saving.deserialize_keras_object(config["schedule"]), config["scale"])
