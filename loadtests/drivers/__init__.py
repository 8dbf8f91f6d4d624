"""Two drivers that run every client: ``blocking`` over a plain socket, ``eventloop`` for thousands at once."""
