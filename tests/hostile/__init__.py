"""The attacks of the security review, as tests: each must fail for the attacker."""
