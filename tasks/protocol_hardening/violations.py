"""A page for people about what an attack found: shrunk traces, what they break and why, calls to each; and what not.

For the referee: it names hidden defects. `scripts/violations.py SESSION` writes one.
"""

from campaign import Campaign, Trace
from defects_hidden import HIDDEN
from defects_visible import VISIBLE


def page(campaigns: list[Campaign], split: str) -> str:
    """Markdown: the distinct violations, each at its shortest, then every campaign and what it did not find."""
    lines = [f"# Violations on {split}", "", f"{len(campaigns)} campaigns.", ""]
    for names, found in sorted(distinct(campaigns).items()):
        invariant, trace, count, soonest = found
        lines += [f"## {invariant}: {names}", ""]
        lines += [f"{words(names)} In {count} campaigns, at the soonest after {soonest:,} calls.", ""]
        lines += [*(f"{position}. `{operation(step)}`" for position, step in enumerate(trace)), ""]
    lines += [
        "## Campaigns",
        "",
        "| campaign | found, after so many calls | not found |",
        "| --- | --- | --- |",
    ]
    return "\n".join([*lines, *(row(number, campaign) for number, campaign in enumerate(campaigns)), ""])


def distinct(campaigns: list[Campaign]) -> dict[str, tuple[str, Trace, int, int]]:
    """Names of the defects -> (invariant, shortest trace, campaigns that met it, fewest calls)."""
    known: dict[str, tuple[str, Trace, int, int]] = {}
    for campaign in campaigns:
        for (invariant, guilty, trace), calls in zip(campaign.found, campaign.found_after, strict=True):
            names = joined(guilty) or " ".join(name for name, *_ in trace)
            before = known.get(names, (invariant, trace, 0, calls))
            shortest = min((before[:2], (invariant, trace)), key=lambda pair: len(pair[1]))
            known[names] = (*shortest, before[2] + 1, min(before[3], calls))
    return known


def row(number: int, campaign: Campaign) -> str:
    found = [
        f"{joined(guilty) or invariant} ({calls:,})"
        for (invariant, guilty, _), calls in zip(campaign.found, campaign.found_after, strict=True)
    ]
    return f"| {number} | {'; '.join(found) or 'nothing'} | {joined(campaign.defects) or '-'} |"


def joined(defects) -> str:
    return " + ".join(sorted(defect.__name__ for defect in defects))


def words(names: str) -> str:
    """What the defects are, in their own words."""
    chosen = [defect for defect in (*VISIBLE, *HIDDEN) if defect.__name__ in names.split(" + ")]
    return " ".join((defect.__doc__ or "").strip() for defect in chosen)


def operation(step: list) -> str:
    name, *arguments = step
    return f"{name}({', '.join(map(str, arguments))})"
