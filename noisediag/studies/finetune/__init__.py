"""A head of the user's own from a few labels. It is trained here, which needs torch, whatever an estimate computes with."""

from noisediag import engine

engine.use("torch")
