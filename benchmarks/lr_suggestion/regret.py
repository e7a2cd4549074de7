"""Regret: the distance of a suggestion from the best learning rate.

`regret(lr) = (L(lr) - L_best) / (L_init - L_best)`, clipped to [0, 1]. `L` is the validation
loss after the whole run, interpolated linearly in log lr between the 25 learning rates tried;
`L_best` its minimum on that grid; `L_init` the loss before training. 0 is the best constant
learning rate, 1 no better than not training.
"""

import json
from pathlib import Path

import numpy as np

TRUTH: dict[str, dict] = json.loads(Path(__file__).with_name("truth.json").read_text("utf8"))
MEASURES = {
    "final": "final_val_loss",
    "checkpoint": "best_checkpoint_val_loss",
    "cosine": "final_val_loss_cosine",
}


def regret(task: str, learning_rate: float, measure: str = "final") -> float:
    """The regret of one learning rate on one task.

    Args:
        task: A name in `tasks.TASKS`.
        learning_rate: A constant learning rate, or the peak when `measure="cosine"`.
        measure: "final" (loss at the end), "checkpoint" (best loss on the way) or "cosine" (loss
            at the end of 5 % warm-up and cosine decay).

    Returns:
        A number in [0, 1]; 1 if the learning rate is not a positive finite number.
    """
    if not (np.isfinite(learning_rate) and learning_rate > 0):
        return 1.0
    known = TRUTH[task]
    losses = np.asarray(known[MEASURES[measure]])
    best, initial = losses.min(), known["initial_val_loss"]
    grid = np.log(known["learning_rates"])
    loss = np.interp(np.log(learning_rate), grid, losses)
    return float(np.clip((loss - best) / (initial - best), 0.0, 1.0))
