"""One file, one measure of what models do with scale; no law is fitted here."""
