//! The command line: `rescind`.

/// `inventory`, `explain`.
mod asks;
/// Speaking to the server.
mod client;
/// `evidence`.
mod evidence;
/// `exceptions`, `audit`.
mod exceptions;
/// Following orders.
mod follow;
/// `hosts`, `paths`.
mod hosts;
/// `operator`.
mod operator;
/// `order`.
mod order;
/// `revoke`, `end-sessions`, `release`.
mod revoke;
/// `inventory --section`, `--coverage`, `--diff`.
mod sections;
/// `serve`, `check-config`.
mod serve;
/// Tables for people.
mod table;
/// `token`.
mod token;
/// Orders in words.
mod words;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand};

/// Makes "revoked" mean "can no longer get in", on Linux servers that nothing else reaches.
#[derive(Debug, Parser)]
#[command(name = "rescind", version, max_term_width = 100, after_help = AFTER_HELP)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Examples:
  rescind token new --host web1
  rescind revoke account alice --host web1 --ticket OFF-42 --reason 'left the company' --follow
  rescind exceptions

Exit codes: 0 done (orders: verified), 1 failed, 2 usage, 3 an order ended in other than verified,
4 a host did not answer in time.";

/// Over the options that every command has.
const EVERY_COMMAND: &str = "Options of every command";

/// Where the server is, and how to answer.
#[derive(Debug, Args)]
struct Global {
    /// The server's socket on this machine [env: RESCIND_SOCKET] [default: /run/rescind/operator.sock]
    #[arg(long, global = true, help_heading = EVERY_COMMAND, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// The server elsewhere: https://NAME:7444 [env: RESCIND_SERVER]
    #[arg(long, global = true, help_heading = EVERY_COMMAND, value_name = "URL")]
    server: Option<String>,
    /// Your client certificate, for --server [env: RESCIND_CERT]
    #[arg(long, global = true, help_heading = EVERY_COMMAND, value_name = "FILE")]
    cert: Option<PathBuf>,
    /// Its key [env: RESCIND_KEY]
    #[arg(long, global = true, help_heading = EVERY_COMMAND, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The control plane's CA certificate [env: RESCIND_CA]
    #[arg(long, global = true, help_heading = EVERY_COMMAND, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long, global = true, help_heading = EVERY_COMMAND)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the control plane (the service rescind)
    Serve(serve::Serve),
    /// Check a control.toml without changing anything
    CheckConfig(serve::CheckConfig),
    /// Make, list and take back join tokens for hosts
    #[command(
        subcommand,
        after_help = "Examples:\n  rescind token new --host web1\n  rescind token list"
    )]
    Token(token::Token),
    /// List hosts, or remove one
    Hosts(hosts::Hosts),
    /// Ask a host for the ways to act on it, now
    Paths(hosts::Paths),
    /// Show a host's accounts, or what its survey found; now, or as it said last where it is away
    Inventory(asks::Inventory),
    /// Ask a host why an account can become root, now
    Explain(asks::Explain),
    /// Take access away, of an account or of a key
    #[command(
        subcommand,
        after_help = "Examples:\n  rescind revoke account alice --host web1 --ticket OFF-42 --reason 'left the company' --follow\n  rescind revoke key SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA --all-hosts --ticket SEC-7 --reason 'laptop stolen'"
    )]
    Revoke(revoke::Revoke),
    /// End an account's sessions and processes once
    EndSessions(revoke::EndSessions),
    /// End a standing order and bring back what it took
    Release(revoke::Release),
    /// List orders, show what became of one, or write one to a file
    #[command(
        subcommand,
        after_help = "Examples:\n  rescind order list --host web1 --in-force\n  rescind order show 01932c07-7c1e-7b9a-9b53-8f6f3c0c9a11"
    )]
    Order(order::Order),
    /// Verify and export what hosts recorded
    #[command(
        subcommand,
        after_help = "Examples:\n  rescind evidence verify --host web1\n  rescind evidence export --host web1 -o web1.evidence"
    )]
    Evidence(evidence::Evidence),
    /// List what is not as ordered and needs somebody, or close it
    Exceptions(exceptions::Exceptions),
    /// List what operators did
    Audit(exceptions::Audit),
    /// Make, list and remove operators who come over the network
    #[command(
        subcommand,
        after_help = "Examples:\n  rescind operator new dana@example.com -o dana\n  rescind operator list"
    )]
    Operator(operator::Operator),
}

/// How a command ended other than well.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// It did not work.
    #[error("{0}")]
    Failed(String),
    /// The arguments make no sense together.
    #[error("{0}")]
    Usage(String),
    /// An order ended in other than verified; what it ended in was shown.
    #[error("not verified")]
    NotVerified,
    /// A host did not answer in time.
    #[error("{0}")]
    NoAnswer(String),
}

impl Failure {
    const fn code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::NotVerified => 3,
            Self::NoAnswer(_) => 4,
        }
    }
}

/// The command line's grammar and its help, to which the manual is held.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the command line.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let ended = match cli.command {
        Command::Serve(serve) => serve.run(&cli.global),
        Command::CheckConfig(check) => check.run(),
        Command::Evidence(evidence::Evidence::Verify(verify)) if verify.is_offline() => {
            verify.run_offline(cli.global.json)
        }
        command => match tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
        {
            Ok(runtime) => runtime.block_on(ask_server(cli.global, command)),
            Err(error) => Err(Failure::Failed(format!("cannot start: {error}"))),
        },
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !matches!(failure, Failure::NotVerified) {
                eprintln!("rescind: {failure}");
            }
            ExitCode::from(failure.code())
        }
    }
}

async fn ask_server(global: Global, command: Command) -> Result<(), Failure> {
    let json = global.json;
    let client = client::Client::new(global)?;
    match command {
        Command::Token(token) => token.run(&client, json).await,
        Command::Hosts(hosts) => hosts.run(&client, json).await,
        Command::Paths(paths) => paths.run(&client, json).await,
        Command::Inventory(inventory) => inventory.run(&client, json).await,
        Command::Explain(explain) => explain.run(&client, json).await,
        Command::Revoke(revoke) => revoke.run(&client, json).await,
        Command::EndSessions(end) => end.run(&client, json).await,
        Command::Release(release) => release.run(&client, json).await,
        Command::Order(order) => order.run(&client, json).await,
        Command::Evidence(evidence) => evidence.run(&client, json).await,
        Command::Exceptions(exceptions) => exceptions.run(&client, json).await,
        Command::Audit(audit) => audit.run(&client, json).await,
        Command::Operator(operator) => operator.run(&client, json).await,
        Command::Serve(_) | Command::CheckConfig(_) => Ok(()),
    }
}

/// A list of an answer. One that is not there is no empty one.
fn list<'v>(answer: &'v serde_json::Value, name: &str) -> Result<&'v [serde_json::Value], Failure> {
    let found = answer[name].as_array().map(Vec::as_slice);
    found.ok_or_else(|| Failure::Failed(format!("the server's answer has no list of {name}")))
}

/// Prints a value as JSON, indented.
fn print_json<T: serde::Serialize>(value: &T) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Failure::Failed(e.to_string()))?;
    print(&format!("{text}\n"))
}

/// Prints to standard output; a closed pipe ends the command without noise.
fn print(text: &str) -> Result<(), Failure> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => other.map_err(|error| Failure::Failed(format!("standard output: {error}"))),
    }
}

/// Reads a duration: a number and `ms`, `s`, `m`, `h` or `d`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let ms = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err("want a number with ms, s, m, h or d, as 90s".into()),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "want a number with its unit, as 90s")?;
    let ms = number.checked_mul(ms).ok_or("too long")?;
    Ok(Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed_and_every_command_has_an_example() {
        fn check(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            let help = command.get_after_help().map(ToString::to_string);
            assert!(help.is_some_and(|help| help.contains("Example")), "{path}");
            command.get_subcommands().for_each(|sub| check(sub, &path));
        }
        command().debug_assert();
        check(&command(), "");
    }

    #[test]
    fn a_list_that_is_not_there_is_not_empty() {
        let answer = serde_json::json!({ "paths": [], "accounts": null });
        assert_eq!(list(&answer, "paths").map(<[_]>::len).ok(), Some(0));
        assert!(list(&answer, "accounts").is_err() && list(&answer, "chains").is_err());
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("2d"), Ok(Duration::from_secs(172_800)));
        for bad in [
            "",
            "5",
            "s",
            "-1s",
            "1w",
            "99999999999999999999d",
            "18446744073709551615d",
        ] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
