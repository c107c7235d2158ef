"""Trap files: small pictures whose noise is known and whose situation is ordinary, yet outside of the noise model.

A kind of `kinds` draws the clean picture from `scenes`, adds what a camera or program does to it, and gives a `Trap`:
pixels, how they are stored (`files`), and what is true of them (`truth`).
"""
