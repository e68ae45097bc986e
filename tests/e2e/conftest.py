"""A real cluster, and namespaces in it."""
from fixtures import fresh_namespace, image, namespace, new_namespace

__all__ = ["fresh_namespace", "image", "namespace", "new_namespace"]
