"""The Job's entrypoint: observe, decide, record, do, until nothing is left to do. What to do is decided in plan/; here it is only carried out."""
