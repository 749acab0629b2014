//! `inventory --secrets`: the credentials that lie on the host.

use std::path::Path;

use rescind_protocol::name::AccountName;
use serde_json::Value;

use crate::cli::exit::Exit;
use crate::cli::local::{self, Where};
use crate::cli::table::{Table, text};
use crate::config::layout;
use crate::daemon::admin::{self, AskError, Request};
use crate::orders::held;

pub(super) const HELP: &str = "\
Examples:
  rescind-agent inventory --json
  rescind-agent inventory --section ssh_keys
  rescind-agent inventory --coverage
  rescind-agent inventory --diff
  rescind-agent inventory --secrets --account alice
  rescind-agent inventory --secrets --root /mnt/image --json

With --secrets, JSON has `credentials` and `coverage`. Of each credential:
  account        whose home it lies in; null for the host's own
  kind           private_key, aws_access_key, netrc_password, env_secret, …
  path, label    the file, and which of several in it (a profile, a host, a variable)
  owner, mode    of the file; uid and gid beside them
  encrypted      a password is needed to use it
  fingerprint    SHA256:… of a key's public half; HMAC-SHA256:… of anything else, under a
                 key of this host, so that equal values have equal ones on this host only
  age_days       since the file was last changed; `modified` is the time
  accepted_for   accounts and key files of this host where its public half stands
  open_in        processes that have the file open
`coverage` says what could not be read and why (not_read), what looks like a credential and is
not understood (unclear), and templates and empty values (passed_over). Values are never shown.
All fields: /usr/share/doc/rescind-agent/SECRETS.md";

/// Runs the command.
pub(super) fn show(at: &Where, account: Option<&AccountName>) -> Exit {
    let mut answer = match obtain(at.root.as_deref()) {
        Ok(answer) => answer,
        Err(message) => return Exit::Unavailable.because(message),
    };
    if let (Some(account), Some(Value::Array(credentials))) =
        (account, answer.get_mut("credentials"))
    {
        credentials.retain(|one| {
            let shared = one["shared_with"].as_array().into_iter().flatten();
            std::iter::once(&one["account"])
                .chain(shared)
                .any(|name| *name == account.as_str())
        });
    }
    match at.json {
        true => println!("{answer}"),
        false => print(&answer),
    }
    Exit::Ok
}

/// Asks the running agent, or looks here where there is none: no store is needed for it.
fn obtain(root: Option<&Path>) -> Result<Value, String> {
    if root.is_none() {
        match admin::ask(&layout::admin_sock(Path::new("/")), &Request::Secrets) {
            Err(AskError::NotRunning { .. }) => {}
            Err(error) => return Err(error.to_string()),
            Ok(answer) => return local::parsed(&answer),
        }
    }
    held::report(root.unwrap_or(Path::new("/"))).map_err(|error| error.to_string())
}

fn print(answer: &Value) {
    let head = [
        "account",
        "kind",
        "where",
        "owner",
        "mode",
        "days",
        "locked",
        "fingerprint",
        "accepted for",
    ];
    let mut table = Table::new(&head);
    for one in answer["credentials"].as_array().into_iter().flatten() {
        let place = match &one["label"] {
            Value::String(label) => format!("{} ({label})", text(&one["path"])),
            _ => text(&one["path"]),
        };
        let accepted = one["accepted_for"].as_array().into_iter().flatten();
        let mut accounts: Vec<String> = accepted.map(|place| text(&place["account"])).collect();
        accounts.dedup();
        let owner = match &one["owner"] {
            Value::Null => text(&one["uid"]),
            owner => text(owner),
        };
        table.row(&[
            text(&one["account"]),
            text(&one["kind"]).replace('_', " "),
            place,
            owner,
            text(&one["mode"]),
            text(&one["age_days"]),
            if one["encrypted"] == true {
                "yes"
            } else {
                "no"
            }
            .to_owned(),
            text(&one["fingerprint"]),
            accounts.join(", "),
        ]);
    }
    table.print();
    let coverage = &answer["coverage"];
    let count = |name: &str| text(&coverage[name]["total"]);
    println!(
        "{} files read in {} homes and of the host; {} not read, {} unclear, {} placeholders passed over; rules {}",
        coverage["files"],
        coverage["homes"],
        count("not_read"),
        count("unclear"),
        count("passed_over"),
        coverage["rule_set"],
    );
    for (name, what) in [("not_read", "not read"), ("unclear", "unclear")] {
        for one in coverage[name]["listed"].as_array().into_iter().flatten() {
            println!("  {what}: {} {}", text(&one["path"]), text(&one["why"]));
        }
    }
    for gap in coverage["key_files_not_read"]
        .as_array()
        .into_iter()
        .flatten()
    {
        println!("  not read: {}", text(gap));
    }
}
