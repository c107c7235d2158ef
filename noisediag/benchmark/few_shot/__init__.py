"""The few-shot benchmark, which trains: it needs torch, whatever an estimate computes with."""

from noisediag import engine

engine.use("torch")
