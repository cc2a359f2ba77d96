"""For those who test their own programs against simulated machines."""
