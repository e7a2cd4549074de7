"""From results to the table that is shown: `klr.fit` against every other way, paired by seed."""

from collections import Counter
from typing import Any

import numpy as np

from .ways import OURS, WAYS

Row = dict[str, Any]
_DRAWS = 4000
_FLOOR = 1e-6  # a loss below this is as good as any


def summary(rows: list[Row], own: set[str]) -> dict[str, Any]:
    """For every other way: tasks won, ratio of losses, points of accuracy, CPU time.

    The ratio of a task is the geometric mean over its seeds of our loss over the other's with the
    same seed; that of all tasks is the geometric mean of theirs, with a 95 % bootstrap interval
    over the tasks. A task is won with a ratio below 1.
    """
    table = {(row["task"], row["seed"], row["way"]): row for row in rows}
    out: dict[str, Any] = {"ways": {}, "tasks": {}}
    counts = Counter(row["task"] for row in rows if row["way"] == OURS)
    out["seeds"] = [min(counts.values(), default=0), max(counts.values(), default=0)]
    for way in WAYS:
        pairs: dict[str, list[tuple[Row, Row]]] = {}
        for (task, seed, name), other in table.items():
            mine = table.get((task, seed, OURS))
            if name == way and way != OURS and mine is not None:
                pairs.setdefault(task, []).append((mine, other))
        if not pairs:
            continue
        logs = {task: [_log_ratio(*pair) for pair in found] for task, found in pairs.items()}
        means = np.array([np.mean(each) for each in logs.values()])
        points = [
            100 * np.mean([mine["accuracy"] - other["accuracy"] for mine, other in found])
            for found in pairs.values()
            if "accuracy" in found[0][0]
        ]
        others = [task in own for task in logs]
        out["ways"][way] = {
            "pairs": sum(map(len, pairs.values())),
            "tasks": len(means),
            "won": int((means < 0).sum()),
            "ratio": _interval(means),
            "worst": [list(logs)[int(means.argmax())], float(np.exp(means.max()))],
            "accuracy": float(np.mean(points)) if points else None,
            "own_won": [int((means[others] < 0).sum()), int(sum(others))],
        }
        for task, each in logs.items():
            spread = float(np.std(each, ddof=1)) if len(each) > 1 else None
            entry = {"ratio": float(np.exp(np.mean(each))), "log_sd": spread}
            out["tasks"].setdefault(task, {})[way] = entry
    out["cpu_seconds"] = {
        way: float(np.mean([row["cpu_seconds"] for row in rows if row["way"] == way]))
        for way in WAYS
        if any(row["way"] == way for row in rows)
    }
    return out


def _log_ratio(mine: Row, other: Row) -> float:
    # A loss that is not finite is as bad as ten times ours.
    ours, theirs = max(mine["loss"], _FLOOR), max(other["loss"], _FLOOR)
    bound = np.log(10.0)
    if not np.isfinite(ours):
        return float(bound)
    return float(np.clip(np.log(ours / theirs), -bound, bound)) if np.isfinite(theirs) else -bound


def _interval(means: np.ndarray) -> list[float]:
    """The geometric mean and its bootstrap interval over the tasks."""
    random = np.random.default_rng(0)
    drawn = random.choice(means, (_DRAWS, len(means))).mean(1)
    return [float(each) for each in np.exp([means.mean(), *np.quantile(drawn, [0.025, 0.975])])]


def markdown(table: dict[str, Any]) -> str:
    """The table as Markdown."""
    seconds = table["cpu_seconds"]
    fewest, most = table["seeds"]
    seeds = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    lines = [
        f"Loss on unseen data of `klr.fit` over that of another way with the same updates in all, "
        f"searches included; {seeds} seeds a task. Below 1, `klr.fit` is better. In brackets the "
        "95 % bootstrap interval over the tasks.",
        "",
        "| against | won | of these, tasks made here | ratio | worst task | accuracy | "
        "CPU seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for way, of in table["ways"].items():
        middle, low, high = of["ratio"]
        accuracy = "" if of["accuracy"] is None else f"{of['accuracy']:+.1f} points"
        won, made = of["own_won"]
        lines.append(
            f"| {way} | {of['won']} of {of['tasks']} | {won} of {made} "
            f"| {middle:.2f} [{low:.2f}, {high:.2f}] "
            f"| {of['worst'][1]:.2f}, {of['worst'][0]} | {accuracy} | {seconds[way]:.1f} |"
        )
    lines += ["", f"`klr.fit` itself: {seconds.get(OURS, 0.0):.1f} CPU seconds.", ""]
    ways = list(table["ways"])
    lines += ["| task | " + " | ".join(ways) + " |", "|---|" + "---|" * len(ways)]
    for task, found in sorted(table["tasks"].items()):
        cells = [_cell(found.get(way)) for way in ways]
        lines.append(f"| {task} | " + " | ".join(cells) + " |")
    note = "Ratio of each task; in brackets the standard deviation over the seeds of its logarithm."
    return "\n".join([*lines, "", note]) + "\n"


def _cell(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return ""
    spread = "" if entry["log_sd"] is None else f" ({entry['log_sd']:.2f})"
    return f"{entry['ratio']:.2f}{spread}"
