"""`make bench`: the governor's speed, as ratios within one run. No test asserts these ratios."""
