"""The API server: authentication, requests, watches, and what we see in it. Raw dicts in and out: a typed model would drop the fields it does not
know, and we delete and recreate objects. No decision lives here."""
