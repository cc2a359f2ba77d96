"""What a person on call sees of a running agent: health, status, metrics, heartbeat.

Nothing here has a say in what happens to samples; if all of it failed, they would still arrive.
"""
