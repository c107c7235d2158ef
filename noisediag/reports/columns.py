"""What every column of the CSV and Parquet reports says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from noisediag.genome.parameters import PARAMETERS
from noisediag.reports.csv import COLUMNS, TEXT_COLUMNS, WHOLE_COLUMNS, value_columns

_FIXED: Mapping[str, str] = {
    "path": "the file",
    "status": "`ok`, or `error`",
    "error_code": "the kind of error",
    "error_message": "the reason, one line",
    "sha256": "SHA-256 of the file, hexadecimal",
    "reader": "what read it",
    "domain": "raw-linear, linear or rendered",
    "plane": "R, G1, G2, B, ...; the last line of a file is its own footprint, `all` or `luma`",
    "channel": "name of the channel",
    "frame": "number of the frame, from 0",
    "height_px": "height, px",
    "width_px": "width, px",
    "bit_depth": "bits of the codes",
    "black_dn": "black level, DN",
    "white_dn": "white level, DN",
    "scale_source": "where both are from: file, override or assumed",
    "signal_median_norm": "median signal, 0 black, 1 white",
    "sigma_effective_norm": "root of the mean of sigma^2 over the signals, a fraction of white - black",
    "sigma_effective_dn": "the same, DN",
    "sigma_at_18pct_norm": "sigma at 18 % signal, a fraction of white - black",
    "snr_at_18pct_db": "signal-to-noise ratio there, dB",
    "sigma_at_median_norm": "sigma at the median signal, a fraction of white - black",
    "snr_at_median_db": "signal-to-noise ratio there, dB",
    "gain_e_per_dn": "conversion gain, e-/DN",
    "read_noise_e": "read noise, e-",
    "electrons_at_white": "electrons of a pixel at white",
    "dynamic_range_stops": "white over read noise, stops",
    "row_share": "of the noise's variance: offsets shared by a row",
    "column_share": "of the noise's variance: offsets shared by a column",
    "lag1_h": "correlation of the noise with that of the next pixel to the right",
    "lag1_v": "correlation of the noise with that of the next pixel below",
    "plane_flags": "what is to be known of the plane, `;` between them",
    "flags": "what is to be known of the file, `;` between them",
    "warnings": "the same in words",
    "Make": "ExifTool's Make",
    "Model": "ExifTool's Model",
    "ISO": "ISO setting",
    "ExposureTime_s": "exposure time, s",
    "FNumber": "f-number",
    "DateTimeOriginal": "when it was taken, as the file says it",
    "noisediag_version": "version of noisediag that wrote this",
    "checkpoint_name": "the model; empty: measured",
    "checkpoint_sha256": "SHA-256 of its file",
    "correlated_share": "of a pixel's noise that comes from its neighbours' noise",
    "periodic_share": "of the noise's variance: one wave over the picture",
    "pixel_independent": "1: what Noise2Void and its kind assume holds; 0: it does not",
    "equivalent_blur_px": "width of the kernel that correlates white noise as much, px",
    "sigma_area2_norm": "sigma after averaging squares of 2 pixels a side, a fraction of white - black",
    "sigma_area4_norm": "the same of 4 pixels a side",
    "sigma_area8_norm": "the same of 8 pixels a side",
    "jpeg_quality": "of the last JPEG compression",
    "block_strength": "steps across the borders of 8 x 8 blocks over those inside, less 1",
    "processed": "probability that the noise went through more than rounding to codes",
    "denoised": "probability that it was denoised",
    "upscaled": "probability that it was upscaled",
    "resaved": "1: compressed as JPEG more than once; 0: not",
    "how": "estimated or measured",
    "own_parameters": "parameters of a head of the user's own, as JSON",
    "law": "what the noise follows: photon, additive, speckle, rician, grain or processed",
    "law_probability": "probability of that law",
    "saturation_level_dn": "where the pixels saturate, DN",
    "saturation_scatter_dn": "standard deviation about it, DN",
    "saturation_share": "share of the pixels that are there",
    "black_fitted_dn": "the black that the picture shows, where it contradicts the stated one, DN",
    "missing_share": "share of the pixels that have no value",
    "noise_correlated_share": "of the noise's variance: what `correlation` describes",
    "uneven_low": "least sigma in parts of the picture, over the curve's",
    "uneven_high": "greatest sigma in parts of the picture, over the curve's",
    "hot_pixels_share": "share of the pixels that stand alone far above those around them",
    "hot_pixels_mean_dn": "their mean height above those around them, DN",
    "hot_pixels_median_dn": "the median of it, DN",
}
_UNITS = {"1/e-": "1/e-", "normalised": "a fraction of white - black", "fraction": "a fraction", "px": "px"}


def described() -> Iterator[tuple[str, str, str]]:
    """Every column in its order: name, type (text, whole number, number), what it says with its unit."""
    texts = _texts()
    for column in COLUMNS:
        kind = "text" if column in TEXT_COLUMNS else "whole number" if column in WHOLE_COLUMNS else "number"
        yield column, kind, texts[column]


def _texts() -> dict[str, str]:
    texts = dict(_FIXED)
    for name in ("gain_e_per_dn", "read_noise_e"):
        texts |= {f"{name}_low": "lower end of its 90 % interval", f"{name}_high": "upper end of its 90 % interval"}
    for parameter in PARAMETERS:
        words, columns = parameter.name.replace("_", " "), value_columns(parameter)
        units = [_UNITS[parameter.unit], "DN/e-" if parameter.unit == "1/e-" else "DN"]
        for unit, place in zip(units, range(0, len(columns) - 2, 3), strict=False):
            texts[columns[place]] = f"{words}, {unit}"
            texts[columns[place + 1]] = "lower end of its 90 % interval; 0 below the floor"
            texts[columns[place + 2]] = "upper end of its 90 % interval; the limit of detection below the floor"
        texts[columns[-2]] = f"probability that there is {words} at all"
        texts[columns[-1]] = f"what is to be known of the {words}"
    return texts
