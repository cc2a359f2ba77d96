"""When does going cost least? Failure distributions in, cost of waiting out."""
