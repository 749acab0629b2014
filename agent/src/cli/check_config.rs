//! `check-config`: would the agent start with these files?

use std::path::PathBuf;

use crate::cli::complain;
use crate::cli::exit::Exit;
use crate::config::{Config, Trust, layout};

/// Check agent.toml and trust.toml without changing anything
///
/// Says what is wrong with them, if anything, and whether this host is enrolled.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  rescind-agent check-config && systemctl restart rescind-agent rescind-link

Exit codes: 0 the agent would start, 78 it would not, or this host is not enrolled.")]
pub struct Args {
    /// The host's root directory
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

/// Does it.
pub fn run(args: &Args) -> Exit {
    let mut exit = Exit::Ok;
    let path = layout::agent_toml(&args.root);
    match Config::load(&args.root) {
        Ok(_) if path.exists() => println!("{}: good", path.display()),
        Ok(_) => println!("{}: none, the packaged defaults hold", path.display()),
        Err(error) => {
            complain(&error);
            exit = Exit::Config;
        }
    }
    let path = layout::trust_toml(&args.root);
    match Trust::load(&args.root) {
        Ok(Some(trust)) => println!("{}: good, host {}", path.display(), trust.host_id),
        Ok(None) => {
            println!("{}: none, this host is not enrolled", path.display());
            exit = Exit::Config;
        }
        Err(error) => {
            complain(&error);
            exit = Exit::Config;
        }
    }
    exit
}
