"""The reader process, as the agent starts it."""

import sys

from edge_agent.reader.child import main

if __name__ == "__main__":
    sys.exit(main())
