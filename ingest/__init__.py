"""Is this telemetry whole, and where is it kept?"""
