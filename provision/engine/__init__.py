"""The loop that every command runs: observe, plan, apply, report. Neutral to providers; prints nothing."""
