"""`noisediag benchmark speed`: CPU time of an estimate beside classical estimators."""

from __future__ import annotations

from noisediag.cli.benchmark.common import Destination, Seed
from noisediag.cli.common import Checkpoint, Csv, Force, Json, Output, errors_in_words


def speed(
    seed: Seed = 0,
    json: Json = False,
    csv: Csv = False,
    output: Output = None,
    force: Force = False,
    checkpoint: Checkpoint = None,
) -> None:
    """Measure CPU time on one thread, of 256 x 256 pixels and of 24 megapixels.

    Exit codes: 0 done, 2 usage, 5 the model is missing or damaged.
    """
    with errors_in_words():
        destination = Destination(json, csv, output, force)
        destination.check()

        from noisediag.benchmark import speed as study
        from noisediag.reports.progress import console_progress

        options = study.SpeedOptions(seed=seed, checkpoint=checkpoint)
        destination.write(study, study.run(options, progress=console_progress))
