"""Who needs to know, and what should they do? The programs `staybolt` and its web pages."""
