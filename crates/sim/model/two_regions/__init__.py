"""One partition over two or three regions. See ../README.md."""
