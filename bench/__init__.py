"""How fast the governor is: `make bench`. Ratios within one run, and nothing that a test asserts."""
