"""Shows what was measured: tables, verdicts, plots."""
