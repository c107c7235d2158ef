"""Whole folders: walked, measured in processes that may die, recorded as they come, written out in one order."""
