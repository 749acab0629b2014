//! `explain`: why an account can become root, as a tree.

use clap::Args;
use rescind_protocol::name::AccountName;
use serde_json::Value;

use crate::cli::exit::Exit;
use crate::cli::local::{Where, show};
use crate::cli::table::text;
use crate::daemon::admin::Request;

/// Why an account can become root, step by step, and where each step is configured
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  rescind-agent explain deploy\n  rescind-agent explain deploy --json\n\n\
                        How sure a step is: yes, likely (a command that leads to it), with a password, unknown."
)]
pub struct Explain {
    /// The account
    account: AccountName,
    #[command(flatten)]
    at: Where,
}

impl Explain {
    /// Runs the command.
    pub fn run(self) -> Exit {
        let request = Request::Explain {
            account: self.account,
        };
        show(&self.at, request, |answer| {
            let account = text(&answer["account"]);
            match (&answer["is_root"], &answer["root"]) {
                (Value::Bool(true), _) => println!("{account} is root: its uid is 0"),
                (_, Value::Null) => println!("{account}: no step to root was found"),
                (_, sure) => println!("{account} becomes root ({})", spaced(sure)),
            }
            branches(&answer["steps"], "");
            if answer["cut"] == true {
                println!("There is more than was followed.");
            }
            Exit::Ok
        })
    }
}

/// The steps below each other, those that follow a step indented behind it.
fn branches(steps: &Value, indent: &str) {
    let steps = steps.as_array().map_or(&[][..], Vec::as_slice);
    for (index, step) in steps.iter().enumerate() {
        let last = index + 1 == steps.len();
        let (branch, below) = if last {
            ("└─", "   ")
        } else {
            ("├─", "│  ")
        };
        let place = match (&step["source"]["file"], &step["source"]["line"]) {
            (Value::String(file), Value::Number(line)) => format!("   {file}:{line}"),
            (Value::String(file), _) => format!("   {file}"),
            _ => String::new(),
        };
        println!(
            "{indent}{branch} {} → {} ({}){place}",
            text(&step["reason"]),
            text(&step["to"]),
            spaced(&step["sure"]),
        );
        branches(&step["then"], &format!("{indent}{below}"));
    }
}

fn spaced(word: &Value) -> String {
    text(word).replace('_', " ")
}
