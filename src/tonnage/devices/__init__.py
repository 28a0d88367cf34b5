"""What GPUs the machine has and how full they are."""
