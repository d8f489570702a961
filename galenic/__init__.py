"""The command line and what composes the rooms into a run."""
