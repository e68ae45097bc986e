"""PURE: what to do next, what must hold before it, and what is written. No I/O, no clock, no client."""
