"""Everything that touches pynetdicom: listeners, negotiation, reception, C-ECHO."""
