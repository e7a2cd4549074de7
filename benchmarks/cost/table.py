"""All results as Markdown."""


def markdown(rows):
    """Return the tables of what has been measured so far.

    Args:
        rows: By backend, part and case what was measured.
    """
    lines = ["# Costs", ""]
    for backend, parts in rows.items():
        about = parts.get("about", {})
        lines += [f"## {backend}", "", ", ".join(f"{k} {v}" for k, v in about.items()), ""]
        for part, cases in parts.items():
            if part != "about":
                lines += [f"### {TITLES[part]}", "", *_table(part, cases), ""]
    return "\n".join(lines).rstrip() + "\n"


TITLES = {
    "steps": "Time of an epoch over that with a callback that does nothing (quartiles)",
    "searches": "Searches: over the same steps of `fit`, per call, and by the number of rates",
    "memory": "Peak above the trained model, in copies of its state beyond those of `fit` (MiB)",
    "peers": "Seconds of the same work by others",
}


def _table(part, cases):
    measured = {case: found for case, found in cases.items() if found}
    lines = ["| case | |", "|---|---|"]
    return lines + [
        f"| {case} | {_cell(part, found, _plain(case, measured))} |"
        for case, found in measured.items()
    ]


def _plain(case, measured):
    """Return what Keras' own `fit` of the same model took, in MiB; 0 where that is not known."""
    return measured.get(f"{case.split(', ')[0]}, fit of Keras", {}).get("peak_mib", 0.0)


def _cell(part, found, plain):
    if "ratios" in found:
        ratios = ", ".join(
            f"{name} **{middle:.2f}** ({low:.2f} to {high:.2f})"
            for name, (low, middle, high) in found["ratios"].items()
        )
        return f"{1000 * found['seconds_per_step']:.2f} ms a step: {ratios}"
    if part == "memory":
        copies = (found["peak_mib"] - plain) / found["state_mib"]
        return f"**{copies:.2f}** ({found['peak_mib']:.0f} of {found['state_mib']:.0f})"
    parts = []
    for name, value in found.items():
        if isinstance(value, dict):
            parts.append(f"{name}: {value['seconds']:.2f} s, {value['method']}")
        else:
            parts.append(f"{name} {value:.2f} s")
    return "; ".join(parts)
