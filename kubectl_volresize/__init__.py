"""kubectl volresize: makes the claims of a running StatefulSet smaller, one replica at a time."""
