//! OCI images: registry client, layouts, the image store, a read-only registry.
