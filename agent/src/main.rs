//! `rescind-agent`: see `rescind-agent --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = rescind_agent::home::hidden_entry(std::env::args_os().skip(1)) {
        return code;
    }
    ExitCode::SUCCESS
}
