"""What channels say and how they prove who says it: words and signatures, nothing else."""
