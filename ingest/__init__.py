"""Answer two questions: is this telemetry whole, and where is it kept."""
