"""What only a demo has: looking with another's eyes, and a clock that can be set ahead."""
