//! First-boot provisioning: a pure planner, thin stages, metadata providers.
