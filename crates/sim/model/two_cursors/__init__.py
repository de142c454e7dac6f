"""One partition in one region: exactly-once by two cursors. See ../README.md."""
