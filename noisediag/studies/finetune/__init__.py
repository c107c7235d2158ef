"""A head of the user's own from a few labels, which is trained here: it needs torch, whatever an estimate computes with."""

from noisediag import engine

engine.use("torch")
