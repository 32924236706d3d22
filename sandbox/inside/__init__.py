"""Programs that are put into a sandbox; they import nothing of ours and never run outside one."""
