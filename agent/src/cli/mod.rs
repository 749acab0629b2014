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
/// `inventory --last-used`.
mod last_used;
/// `link`: the network half.
pub mod link;
/// `status`, `paths`, `inventory`, `apply`: asked on the host itself.
pub mod local;
/// Where log lines go and how they look.
pub mod logging;
/// `run`: the root half.
pub mod run;
/// `inventory --secrets`.
mod secrets;
/// `inventory --section`, `--coverage`, `--diff`.
mod sections;
/// Tables for people.
mod table;

use clap::{Parser, Subcommand};

use exit::Exit;

/// Revokes access on this host, keeps it revoked, and proves it.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
#[command(after_help = "\
Examples:
  rescind-agent enrol --server rescind.example.com --token-file /root/token
  rescind-agent paths --account alice
  rescind-agent apply order.rescind --dry-run")]
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed_and_every_command_has_an_example() {
        fn check(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string);
            let name = command.get_name();
            assert!(help.is_some_and(|help| help.contains("Example")), "{name}");
            command.get_subcommands().for_each(check);
        }
        Cli::command().debug_assert();
        check(&Cli::command());
    }
}
