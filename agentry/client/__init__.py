"""The Python client: one description of every request (`calls`), one way to perform it (`flow`),
and two thin drivers for it (`synchronous`, `asynchronous`)."""
