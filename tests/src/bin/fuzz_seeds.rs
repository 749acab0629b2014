//! Writes the seeds of a fuzz target into a directory, for libFuzzer to begin with.

use std::path::PathBuf;

use rescind_tests::readers::{seeds, target};

fn main() -> std::io::Result<()> {
    let mut words = std::env::args().skip(1);
    let (Some(name), Some(directory)) = (words.next(), words.next().map(PathBuf::from)) else {
        eprintln!("usage: fuzz-seeds TARGET DIRECTORY");
        std::process::exit(2);
    };
    std::fs::create_dir_all(&directory)?;
    for (number, seed) in seeds(&target(&name)).iter().enumerate() {
        std::fs::write(directory.join(format!("seed-{number:04}")), seed)?;
    }
    Ok(())
}
