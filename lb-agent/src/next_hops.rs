//! Next hops: what the kernel knows about the way to each backend.
