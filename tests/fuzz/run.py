"""Coverage-guided fuzzing of decoders and of our own files: `python tests/fuzz/run.py [TARGET...] --seconds 60`.

Each target (all, unless some are named) runs so many seconds from the inputs in corpus/TARGET, in a process of its
own; what it finds is left in --keep (a new folder) and named. Needs the extra `fuzz` (atheris, on libFuzzer); exit
code 1 where something was found. An input that broke something belongs into corpus/, where test_corpus.py repeats it.
"""

import argparse
import importlib
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE))
CORPUS = HERE / "corpus"
MEMORY_MB, SLOW_S = 1500, 20
INSTRUMENTED = ("noisediag", "tifffile", "exifread", "astropy.io.fits", "PIL")


def fuzz(target, options):
    """Never returns: libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=list(INSTRUMENTED)):
        import targets

        for module in targets.MODULES.get(target, targets.READERS):
            importlib.import_module(module)
    folder = Path(tempfile.mkdtemp())
    atheris.Setup([sys.argv[0], *options], lambda data: targets.run(target, data, folder))
    atheris.Fuzz()


def main():
    import targets

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(targets.TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="of each target")
    parser.add_argument("--keep", type=Path, help="folder of new inputs, and of what was found")
    given = parser.parse_args()
    keep, failed = given.keep or Path(tempfile.mkdtemp(prefix="fuzz-")), []
    for target in given.targets or targets.TARGETS:
        if target not in targets.TARGETS:
            parser.error(f"no target {target}")
        own = keep / target
        own.mkdir(parents=True, exist_ok=True)
        options = [f"-max_total_time={given.seconds}", f"-rss_limit_mb={MEMORY_MB}", f"-timeout={SLOW_S}"]
        options += [f"-artifact_prefix={own}/found-", "-print_final_stats=1", str(own), str(CORPUS / target)]
        command = [sys.executable, __file__, "--one", target, *options]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        said = done.stderr + done.stdout
        executed = [line for line in said.splitlines() if "number_of_executed_units" in line]
        sys.stdout.write(
            f"{target}: {'found, see ' + str(own) if done.returncode else 'nothing'} {' '.join(executed)}\n"
        )
        sys.stdout.flush()
        if done.returncode:
            failed.append(target)
            sys.stdout.write(said[-3000:] + "\n")
    sys.exit(bool(failed))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        fuzz(sys.argv[2], sys.argv[3:])
    main()
