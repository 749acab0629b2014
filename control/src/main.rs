//! `rescind`: see `rescind --help`.

fn main() {}
