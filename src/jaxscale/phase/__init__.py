"""From labelled results to phase boundaries."""
