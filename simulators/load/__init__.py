"""Sources of more values than any machine has: to see what a reader can take."""
