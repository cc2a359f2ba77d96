"""Where telemetry is kept: each module is one kind of store behind `ingest.ports`."""
