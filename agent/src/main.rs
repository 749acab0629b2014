//! `rescind-agent`: see `rescind-agent --help`.

use std::process::ExitCode;

use clap::Parser;
use rescind_agent::cli::Cli;
use rescind_agent::home;

fn main() -> ExitCode {
    // The root half starts this program again as a child that becomes somebody else.
    if let Some(code) = home::hidden_entry(std::env::args_os().skip(1)) {
        return code;
    }
    Cli::parse().run().into()
}
