//! `rescind-agent`: see `rescind-agent --help`.

use std::process::ExitCode;

use clap::Parser;
use rescind_agent::cli::Cli;
use rescind_agent::cli::exit::Exit;
use rescind_agent::{daemon, home, store};

fn main() -> ExitCode {
    // The root half starts this program again as a child that becomes somebody else, in which its
    // index lives, or which surveys the host.
    let arguments = || std::env::args_os().skip(1);
    let hidden = home::hidden_entry(arguments())
        .or_else(|| store::hidden_entry(arguments()))
        .or_else(|| daemon::hidden_entry(arguments()));
    if let Some(code) = hidden {
        return code;
    }
    match Cli::try_parse() {
        Ok(cli) => cli.run().into(),
        Err(error) => {
            let exit = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Ok
            };
            // Where nobody reads the help, nothing is lost.
            let _ = error.print();
            exit.into()
        }
    }
}
