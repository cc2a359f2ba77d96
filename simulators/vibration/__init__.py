"""Raw vibration of simulated machines: acceleration at 25.6 kHz, a snapshot at a time."""
