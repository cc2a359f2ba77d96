"""Pages for planners and account teams, rendered on the server in English and Chinese."""
