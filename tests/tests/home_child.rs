//! The child that becomes the owner of users' files, as root.

fn main() {}
