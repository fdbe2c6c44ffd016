//! EROFS images: a reader and a deterministic, compressing writer. No I/O of its own.
