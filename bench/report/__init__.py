"""Shows the results: tables, verdicts, plots."""
