//! Pods for real: the program, the runtime, the kernel, in namespaces of the test's own.

mod generator;
mod machine;
mod pods;
