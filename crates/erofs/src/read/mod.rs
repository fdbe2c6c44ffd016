//! The reader: follows with the next landing.
