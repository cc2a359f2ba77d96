"""OPC UA as a machine's controller speaks it."""
