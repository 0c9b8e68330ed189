"""Tracker for TensorBoard: event files below the session's folder, made anew from the ledger by every sitting."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness.report.charts.picture import picture
from harness.report.charts.raster import png
from harness.report.trackers.beside import BesideTracker, needed
from harness.report.trackers.follow import followed, is_turn, say_address, seconds_of, told_curves
from harness.report.wandb.rows import config_of, metrics_of

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter  # type: ignore[import-untyped] # has no types

    from harness.ledger.session_record import SessionRecord

FOLDER = "tensorboard"


class TensorboardTracker(BesideTracker):
    """Scalars of every row, the configuration, the progress chart, and the curves that candidates told: claims."""

    def __init__(self, finish_seconds: float = 60.0) -> None:
        """finish_seconds: how long the end of a session may wait. Raises UserError without its package."""
        needed("tensorboardX", "tensorboard")
        super().__init__("TensorBoard", __name__, FOLDER, {}, finish_seconds)


def main(argv: list[str]) -> int:
    from tensorboardX import SummaryWriter

    folder = Path(argv[0])
    home = folder / FOLDER
    for left in home.rglob("events.out.tfevents.*"):
        left.unlink()  # all of it is in the ledger: what is written once is shown once
    writer = SummaryWriter(logdir=str(home / "session"))
    for session, row in followed(folder):
        if session.length == 1:
            text = json.dumps(config_of(session), indent=2, default=str)
            writer.add_text("configuration", "\n".join(f"    {line}" for line in text.splitlines()), row.seq)
        for name, value in (metrics_of(session, row) or {}).items():
            if isinstance(value, int | float):
                writer.add_scalar(name, value, row.seq, walltime=seconds_of(row))
        if is_turn(row):
            _picture(writer, session, row.seq)
        _curves(home, told_curves(session, row))
        writer.flush()
    writer.close()
    say_address(home, f"tensorboard --logdir {home}")
    return 0


def _picture(writer: "SummaryWriter", session: "SessionRecord", step: int) -> None:
    import io

    import numpy
    from PIL import Image

    image = Image.open(io.BytesIO(png(picture(session))))
    writer.add_image("progress", numpy.asarray(image), step, dataformats="HWC")


def _curves(home: Path, curves: Mapping[str, list[float]]) -> None:
    """A folder a trial, so that TensorBoard lays them over each other."""
    from tensorboardX import SummaryWriter

    for trial, curve in curves.items():
        with SummaryWriter(logdir=str(home / "claimed" / trial.replace("/", "_"))) as writer:
            for place, value in enumerate(curve):
                writer.add_scalar("claimed/loss", value, place)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
