//! Tests of what is told from bytes alone.
