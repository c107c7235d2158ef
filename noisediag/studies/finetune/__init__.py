"""A head of the user's own from a few labels: it is trained here, so it needs torch whatever the rest computes with."""

from noisediag import engine

engine.use("torch")
