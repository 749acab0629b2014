//! Who can become whom, told of hosts in directories by the program itself.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on stops where it is"
)]

mod changed;
mod explained;
mod files;
mod sudo_paths;
mod trusted;
