"""A head of the user's own from a few labels: it is trained here, so it needs torch whatever an estimate computes with."""

from noisediag import engine

engine.use("torch")
