"""An example of each command, as its help shows it; tests parse them all, and run those that need no more than ours."""

from __future__ import annotations

EXAMPLES = {
    "estimate": "noisediag estimate photo.dng --curve curve.png",
    "batch": "noisediag batch photos/ -o report.jsonl -o report.csv",
    "merge": "noisediag merge part1.jsonl part2.jsonl -o report.jsonl",
    "report": "noisediag report report.jsonl -o report.html",
    "schema": "noisediag schema report",
    "guide": "noisediag guide reading-the-table",
    "profile": "noisediag profile iso100/*.dng iso800/*.dng --to darktable -o noiseprofiles.json",
    "check": "noisediag check photo.dng --against-metadata",
    "verify": "noisediag verify photo.dng --profile 2.1e-5,2.9e-9",
    "advise": "noisediag advise stack.tif --target-snr 10",
    "measure": "noisediag measure --flats flat1.tif flat2.tif --darks dark1.tif dark2.tif",
    "finetune": "noisediag finetune --labels labels.csv --shots 100 -o mine.safetensors",
    "simulate": "noisediag simulate --scene photo --shot-gain 1e-4 --read-noise 1e-3 --seed 1 -o noisy.tif",
    "distance": "noisediag distance camera/ synthetic/ --plot distance.png",
    "explain": "noisediag explain report.csv --plots plots/",
    "pretrain": "noisediag pretrain --all -o models/",
    "benchmark sets": "noisediag benchmark sets --data domains/ --json",
    "benchmark rendered": "noisediag benchmark rendered --data domains/",
    "benchmark few-shot": "noisediag benchmark few-shot --data domains/ --images train/ --arms cop-100",
    "benchmark real": "noisediag benchmark real measured/",
    "benchmark limit": "noisediag benchmark limit --json",
    "benchmark speed": "noisediag benchmark speed",
    "benchmark cost": "noisediag benchmark cost --plot cost.png",
    "benchmark traps": "noisediag benchmark traps",
}
