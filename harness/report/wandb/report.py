"""A saved W&B Report about one session or a sweep: text, panels by arm, a table of certified gains."""

import importlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, UserError
from harness.ledger.session_record import SessionRecord, all_begun
from harness.report.markdown import markdown_report
from harness.report.wandb.rows import run_id
from harness.report.words import title

_LINES = (
    ("incumbent", "Incumbent over rows of the ledger"),
    ("score/candidate", "Scores of candidates"),
    ("keeps", "Keeps"),
    ("certified_steps", "Certified steps"),
    ("claimed_gain", "Claimed gain"),
    ("cost/dollars", "Dollars of the agent"),
    ("trial/billed_seconds", "Billed seconds of trials"),
)
_BARS = (("certificate/gain", "Certified gain"), ("keeps", "Keeps"), ("proposals", "Proposals"))


def save_report(folders: Sequence[Path], project: str, entity: str | None) -> str:
    """The report's address. Raises UserError without the package or a login, HarnessError when W&B refuses."""
    try:
        import wandb_workspaces  # noqa: F401 -- only whether it is there
    except ImportError:
        raise UserError(
            "--wandb needs the package wandb-workspaces: pip install 'harness[wandb-reports]'"
        ) from None
    import wandb

    entity = entity or wandb.Api().default_entity if _logged_in() else entity
    if not entity:
        raise UserError(
            "--wandb needs a W&B account: run `wandb login` or set WANDB_API_KEY, or give --entity"
        )
    report = report_of([session for _, session in all_begun(folders)], project, entity)
    try:
        report.save(draft=False)
    except (wandb.Error, ValueError, OSError) as error:
        raise HarnessError(f"W&B did not save the report: {error}") from error
    return str(report.url)


def _logged_in() -> bool:
    import wandb

    return bool(wandb.api.api_key)


def report_of(sessions: Sequence[SessionRecord], project: str, entity: str) -> Any:
    """The report, not saved. One arm is what shares agent, program and task."""
    v2: Any = importlib.import_module("wandb_workspaces.reports.v2")  # it declares nothing that mypy can read
    arms: dict[str, list[str]] = {}
    for session in sessions:
        arms.setdefault(_arm(session), []).append(run_id(session.started))
    runsets = [
        v2.Runset(project=project, entity=entity, name=name, filters=f"ID in {ids!r}")
        for name, ids in arms.items()
    ]
    panels = [
        v2.LinePlot(
            title=about, x="Step", y=[metric], layout=v2.Layout(x=8 * (i % 3), y=6 * (i // 3), w=8, h=6)
        )
        for i, (metric, about) in enumerate(_LINES)
    ]
    panels += [
        v2.BarPlot(title=about, metrics=[v2.SummaryMetric(metric)], layout=v2.Layout(x=8 * i, y=18, w=8, h=6))
        for i, (metric, about) in enumerate(_BARS)
    ]
    panels += [
        v2.MediaBrowser(title="Progress", media_keys=["progress"], layout=v2.Layout(x=0, y=18, w=24, h=12))
    ]
    blocks: list[Any] = [v2.P("Made from ledgers; scores on val are claims, only certificates are results.")]
    blocks += [v2.PanelGrid(runsets=runsets, panels=panels)]
    for session in sessions:
        blocks += [v2.H2(text=title(session)[:120]), v2.MarkdownBlock(text=markdown_report(session))]
    name = title(sessions[0]) if len(sessions) == 1 else f"{len(sessions)} sessions, {len(arms)} arms"
    return v2.Report(project=project, entity=entity, title=name[:128], blocks=blocks, width="fluid")


def _arm(session: SessionRecord) -> str:
    start = session.started
    words = [
        start.choices.get("task") or start.task or "?",
        start.choices.get("agent") or start.agent or "?",
        start.choices.get("program") or "?",
    ]
    return re.sub(r"[^\w .-]", "?", " ".join(words))[:100]
