"""From results to the table that is shown."""

import numpy as np

from .regret import regret

WITHIN = 0.05
PEAK_OF_COSINE = 2.0  # over the constant learning rate of the same run, as its mean is half of it


def summary(rows: list[dict]) -> list[dict]:
    """One entry per method, the best mean checkpoint regret first.

    Means are taken over the seeds of a task and then over the tasks; quantiles, worst and shares
    over all pairs of task and seed.
    """
    methods: dict[str, list[tuple[str, dict]]] = {}
    for row in rows:
        for suggestion in row["suggestions"]:
            methods.setdefault(suggestion["method"], []).append((row["task"], suggestion))
    table = [_entry(method, found) for method, found in methods.items()]
    return sorted(table, key=lambda entry: entry["checkpoint"]["mean"])


def _entry(method: str, found: list[tuple[str, dict]]) -> dict:
    tasks = np.array([task for task, _ in found])
    entry: dict = {"method": method, "tasks": len(set(tasks)), "results": len(found)}
    for measure, factor in {
        "final": 1.0,
        "checkpoint": 1.0,
        "cosine": PEAK_OF_COSINE,
    }.items():
        regrets = np.array([regret(t, factor * s["learning_rate"], measure) for t, s in found])
        per_task = [regrets[tasks == task].mean() for task in sorted(set(tasks))]
        entry[measure] = {
            "mean": round(float(np.mean(per_task)), 4),
            "p90": round(float(np.quantile(regrets, 0.9)), 4),
            "worst": round(float(regrets.max()), 4),
            "within_5_percent": round(float((regrets <= WITHIN).mean()), 3),
        }
    steps = np.array([suggestion["steps"] for _, suggestion in found])
    entry["steps"] = {"mean": round(float(steps.mean()), 1), "most": int(steps.max())}
    entry["silent"] = int(sum(suggestion["silent"] for _, suggestion in found))
    return entry


_HEAD = """\
| method | final: mean | p90 | worst | within 5 % | checkpoint: mean | p90 | worst | within 5 % \
| cosine: mean | steps (most) | silent |
|---|---|---|---|---|---|---|---|---|---|---|---|
"""


def markdown(table: list[dict]) -> str:
    """The table as Markdown."""
    lines = []
    for entry in table:
        cells = [entry["method"]]
        for measure in ("final", "checkpoint"):
            of = entry[measure]
            cells += [f"{of[key]:.3f}" for key in ("mean", "p90", "worst")]
            cells.append(f"{of['within_5_percent']:.0%}")
        cells.append(f"{entry['cosine']['mean']:.3f}")
        cells.append(f"{entry['steps']['mean']:.0f} ({entry['steps']['most']})")
        cells.append(f"{entry['silent']} of {entry['results']}")
        lines.append("| " + " | ".join(cells) + " |\n")
    return _HEAD + "".join(lines)


def brief(table: list[dict]) -> str:
    """The table as the README shows it."""
    lines = [
        "| method | final | checkpoint | worst | within 5 % | steps | results |\n",
        "|---|---|---|---|---|---|---|\n",
    ]
    for entry in table:
        best = entry["checkpoint"]
        cells = [
            entry["method"],
            f"{entry['final']['mean']:.3f}",
            f"{best['mean']:.3f}",
        ]
        cells += [f"{best['worst']:.3f}", f"{best['within_5_percent']:.0%}"]
        cells += [f"{entry['steps']['mean']:.0f}", str(entry["results"])]
        lines.append("| " + " | ".join(cells) + " |\n")
    return "".join(lines)
