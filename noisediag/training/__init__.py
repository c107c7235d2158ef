"""Training: it needs torch, whatever an estimate computes with."""

from noisediag import engine

engine.use("torch")
