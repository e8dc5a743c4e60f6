"""dicomdock as a systemd service: what it tells systemd, its units, and their installation."""
