//! The command line.
#![forbid(unsafe_code)]

/// `check-config`: would the agent start with these files?
pub mod check_config;
/// `enrol`: join a fleet.
pub mod enrol;
/// How a command ended, in sysexits(3).
pub mod exit;
/// `explain`: why an account can become root.
pub mod explain;
/// `orders`, `evidence`: what the host's own journal says.
pub mod journal;
/// `link`: the network half.
pub mod link;
/// `status`, `paths`, `inventory`, `apply`: asked on the host itself.
pub mod local;
/// Where log lines go and how they look.
pub mod logging;
/// `run`: the root half.
pub mod run;
/// Tables for people.
mod table;

use clap::{Parser, Subcommand};

use exit::Exit;

/// Revokes access on this host, keeps it revoked, and proves it.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Link(link::Args),
    Enrol(enrol::Args),
    Status(local::Status),
    Orders(journal::Orders),
    Paths(local::Paths),
    Inventory(local::Inventory),
    Explain(explain::Explain),
    Evidence(journal::Evidence),
    Apply(local::Apply),
    CheckConfig(check_config::Args),
}

impl Cli {
    /// Does what was asked.
    pub fn run(self) -> Exit {
        match self.command {
            Command::Run(args) => run::run(&args),
            Command::Link(args) => link::run(&args),
            Command::Status(args) => args.run(),
            Command::Orders(args) => args.run(),
            Command::Paths(args) => args.run(),
            Command::Inventory(args) => args.run(),
            Command::Explain(args) => args.run(),
            Command::Evidence(args) => args.run(),
            Command::Apply(args) => args.run(),
            Command::Enrol(args) => enrol::run(args),
            Command::CheckConfig(args) => check_config::run(&args),
        }
    }
}

/// Says on standard error why a command failed, the causes behind it included.
pub fn complain(error: &dyn std::error::Error) {
    eprintln!("rescind-agent: {error}");
}
