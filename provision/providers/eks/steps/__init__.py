"""Plan and run the steps of provider eks; `catalogue` lists them in order."""
