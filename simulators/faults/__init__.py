"""What goes wrong between a machine and its reader: sensors, clocks, delivery and the network."""
