"""The one place that says which version this is; the image tag and the krew manifest follow it."""
VERSION = "0.1.0"
