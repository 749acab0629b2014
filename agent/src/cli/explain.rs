//! `explain`: why an account can become root, as a tree.

use clap::Args;
use rescind_protocol::explanation::Explanation;
use rescind_protocol::name::AccountName;

use crate::cli::exit::Exit;
use crate::cli::local::{Where, show};
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
            match serde_json::from_value::<Explanation>(answer.clone()) {
                Ok(explained) => {
                    print!("{explained}");
                    Exit::Ok
                }
                Err(error) => Exit::Unavailable.because(format!("the answer is none: {error}")),
            }
        })
    }
}
