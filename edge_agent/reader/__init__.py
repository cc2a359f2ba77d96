"""OPC UA sources run in processes of their own, so that hostile bytes can hang only those."""
