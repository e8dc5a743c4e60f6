"""Identifiers of another distribution, as a site would write them."""
