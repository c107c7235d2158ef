"""Whole folders: walked, measured in processes that may die, recorded as they come, written out in one order.

walk      which files; folder: the same for studies
worker    the process that measures; pool: such processes here; cluster: on a Dask cluster
journal   what is done, safe on the disk
run       all of it in order; merge: the parts of sharded runs; summary: what a person reads
"""
