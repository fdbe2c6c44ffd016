//! Pods: declaration, monitor, network, logs, exec, exit codes.
