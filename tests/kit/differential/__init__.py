"""One test body on real connections and in the sandbox, and what differs between the two."""
