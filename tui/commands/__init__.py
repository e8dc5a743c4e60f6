"""What can be done: commands on receivers, callers and the site, and the palette over them."""
