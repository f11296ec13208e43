//! firedrill
fn main() {}
