"""`noisediag benchmark cost`: how CPU time grows with pixels and files."""

from __future__ import annotations

from noisediag.cli.benchmark.common import Destination, Seed
from noisediag.cli.common import Checkpoint, Csv, Force, Json, Output, Plot, errors_in_words


def cost(
    seed: Seed = 0,
    json: Json = False,
    csv: Csv = False,
    output: Output = None,
    plot: Plot = None,
    force: Force = False,
    checkpoint: Checkpoint = None,
) -> None:
    """Measure CPU time by the pixels of a picture and by the files of a batch.

    Exit codes: 0 done, 2 usage, 5 the model is missing or damaged.
    """
    with errors_in_words():
        destination = Destination(json, csv, output, force, plot=plot)
        destination.check()

        from noisediag.benchmark import cost as study
        from noisediag.reports.progress import console_progress

        options = study.CostOptions(seed=seed, checkpoint=checkpoint)
        destination.write(study, study.run(options, progress=console_progress))
