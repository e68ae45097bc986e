"""The copy, in the mover pod: stands apart from the other rooms and never talks to the Kubernetes API (DESIGN sections 4 and 6)."""
