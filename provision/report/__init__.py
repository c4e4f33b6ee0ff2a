"""Events and results become what people and machines read: a live console, plain lines, JSON, a journal."""
