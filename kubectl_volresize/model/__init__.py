"""PURE: the words of the project: requests, records, frozen views of API objects, quantities, names."""
