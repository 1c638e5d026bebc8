"""The pages: what people see of Tributary, rendered on the server."""
