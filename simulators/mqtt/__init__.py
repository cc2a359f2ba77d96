"""MQTT as a machine's gateway speaks it, and the broker between."""
