"""A run on a LocalCluster of two workers, one of which is killed on the way; called by test_cluster.py."""

import os
import signal
import sys
from pathlib import Path

import distributed

from noisediag.batch import pool, run
from noisediag.batch.cluster import Cluster
from noisediag.batch.pool import Limits
from noisediag.batch.walk import Walk
from noisediag.batch.worker import EstimateOptions


def use(command):
    pool._COMMAND = command


class Killer:
    """Kills a Dask worker when the first rows are there."""

    def __init__(self, client):
        self.client, self.killed = client, False

    def begin(self, total, done):
        pass

    def rows(self, rows):
        if not self.killed:
            os.kill(next(iter(self.client.run(os.getpid).values())), signal.SIGKILL)
            self.killed = True


def main(folder, output, command):
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
        distributed.Client(cluster) as client,
    ):
        client.register_worker_callbacks(lambda: use(command))  # also of the worker that replaces the killed one
        limits = Limits(60, None)
        options = run.BatchOptions(Walk(Path(folder)), EstimateOptions(), limits, (Path(output),))
        crew = Cluster(EstimateOptions(), limits, scheduler=cluster.scheduler_address, kind=None, count=2)
        killer = Killer(client)
        summary = run.run(options, crew, killer)
        assert killer.killed
        sys.stdout.write(f"{summary.done} {summary.failed}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
