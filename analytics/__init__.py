"""What do these numbers mean? Arrays in, arrays out: no clock, file, log or random state."""
