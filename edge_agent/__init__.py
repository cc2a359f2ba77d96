"""The edge agent: what did the machine just say, and has it safely left the site."""
