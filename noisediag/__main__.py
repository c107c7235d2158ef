"""`python -m noisediag` is the command line."""

from noisediag.cli import main

main()
