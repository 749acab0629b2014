//! `rescind-agent`: see `rescind-agent --help`.

fn main() {}
