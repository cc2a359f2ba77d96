"""Where samples come from: one module for each protocol. All of them only ever read."""
