"""Tools that are programs: they run in a sandbox and nowhere else."""
