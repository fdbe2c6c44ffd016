//! Tests of whole machines.
