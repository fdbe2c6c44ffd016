//! What the fronts share: errors to people, `--format`, progress, logging.
