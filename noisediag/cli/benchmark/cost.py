"""`noisediag benchmark cost`: CPU time by pixels and by files."""

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
    """CPU time by the pixels of a picture and by the number of files.

    Exit codes: 0 all done, 2 usage, 5 the model is missing or damaged.
    """
    with errors_in_words():
        destination = Destination(json, csv, output, force, plot=plot)
        destination.check()

        from noisediag.benchmark import cost as benchmark
        from noisediag.reports.progress import console_progress

        options = benchmark.CostOptions(seed=seed, checkpoint=checkpoint)
        destination.write(benchmark, benchmark.run(options, progress=console_progress))
