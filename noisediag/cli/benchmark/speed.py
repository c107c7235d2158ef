"""`noisediag benchmark speed`: CPU time of an estimate."""

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
    """CPU time on one thread, 256 x 256 and 24 megapixels, beside classical estimators.

    Exit codes: 0 all done, 2 usage, 5 the model is missing or damaged.
    """
    with errors_in_words():
        destination = Destination(json, csv, output, force)
        destination.check()

        from noisediag.benchmark import speed as benchmark
        from noisediag.reports.progress import console_progress

        options = benchmark.SpeedOptions(seed=seed, checkpoint=checkpoint)
        destination.write(benchmark, benchmark.run(options, progress=console_progress))
